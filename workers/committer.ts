// The committer: leads for promise commits, bare appends, and where many records wait. Started by openLog from its embedded source.
import { workerData } from 'node:worker_threads'
import { runCommitter } from '../src/host/run-committer.ts'

runCommitter(workerData)
