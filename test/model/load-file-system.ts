// Stands in for src/storage/load-file-system.ts in the explored build.

import type { FileSystem, FileSystemModule } from '../../src/storage/file-system.ts'

/** A thread of the model is handed its file system itself. */
export function loadFileSystem(module: FileSystemModule): FileSystem {
  return module as unknown as FileSystem
}
