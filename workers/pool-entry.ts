// What piscina loads in each worker of a producer pool. It loads the application's file in turn, so that the worker
// finds its log, its workerData unchanged, and gets its errors across undamaged.
import { ENTRY_MARK, startPoolWorker } from '../src/host/pool-worker.ts'

export const mark: string = ENTRY_MARK

// A promise: piscina awaits it before it gives the worker a task.
export default startPoolWorker()
