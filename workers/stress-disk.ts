// The disk of a stress with faults: a module for the option `fileSystem`. Written to a file from its embedded source.
import { createFaultyDisk, FaultOrder } from '../src/cli/stress/disk.ts'
import type { Words } from '../src/shared/atomics.ts'
import type { FileSystem } from '../src/storage/file-system.ts'

export function createFileSystem(base: FileSystem, words: Words): FileSystem {
  return createFaultyDisk(base, new FaultOrder(words))
}
