// What piscina loads in each worker of a producer pool. It loads the application's file in turn, so that the worker
// finds its log, its workerData unchanged, and gets its errors across undamaged.
import { startPoolWorker } from '../src/host/pool-worker.ts'

// Looked for by src/host/pool-entry-file.ts: it must stand in this file and in no other one.
export const mark = 'groupwal pool entry 1'

// A promise: piscina awaits it before it gives the worker a task.
export default startPoolWorker()
