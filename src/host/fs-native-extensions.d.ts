// The package has no types of its own; this is the part of it that is used here.

declare module 'fs-native-extensions' {
  interface LockOptions {
    /** A read lock instead of an exclusive one. */
    shared?: boolean
  }

  interface FsNativeExtensions {
    /** Takes an open-file-description lock, or returns false when somebody else has it. */
    tryLock(fd: number, options?: LockOptions): boolean
    tryLock(fd: number, offset: number, length: number, options?: LockOptions): boolean
    unlock(fd: number, offset?: number, length?: number): void
  }

  const fsNativeExtensions: FsNativeExtensions
  export default fsNativeExtensions
}
