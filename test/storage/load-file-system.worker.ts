import { parentPort, workerData } from 'node:worker_threads'
import type { FileSystemModule } from '../../src/storage/file-system.ts'
import { loadFileSystem } from '../../src/storage/load-file-system.ts'

parentPort!.postMessage(loadFileSystem(workerData as FileSystemModule).list('/'))
