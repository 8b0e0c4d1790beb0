// The segment-keeper: makes segments ahead of need, and drops old ones. Started by openLog from its embedded source.
import { parentPort, workerData } from 'node:worker_threads'
import { runKeeper } from '../src/host/run-keeper.ts'

runKeeper(workerData, parentPort!)
