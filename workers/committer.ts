// The committer: leads for promise commits and bare appends. Started by openLog from its embedded source.
import { workerData } from 'node:worker_threads'
import { runCommitter } from '../src/host/run-committer.ts'

runCommitter(workerData)
