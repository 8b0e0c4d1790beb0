import { createRequire } from 'node:module'
import { isAbsolute } from 'node:path'
import type { FileSystem, FileSystemModule } from './file-system.ts'
import { createNodeFileSystem } from './node-file-system.ts'

/**
 * The file system of this thread: the real one, or the one that a test's module builds over it. Works the same in
 * ES modules, CommonJS and workers started from source, since it resolves nothing relative to itself.
 *
 * @throws TypeError when the module is no absolute path or exports no `createFileSystem`
 */
export function loadFileSystem(module?: FileSystemModule): FileSystem {
  const base = createNodeFileSystem()
  if (module === undefined) return base
  if (typeof module.module !== 'string' || !isAbsolute(module.module)) {
    throw new TypeError(`fileSystem.module must be an absolute path, not ${JSON.stringify(module.module)}`)
  }
  const loaded = createRequire(module.module)(module.module) as {
    createFileSystem?: (base: FileSystem, data: unknown) => FileSystem
  }
  if (typeof loaded.createFileSystem !== 'function') {
    throw new TypeError(`${module.module} does not export createFileSystem(base, data)`)
  }
  return loaded.createFileSystem(base, module.data)
}
