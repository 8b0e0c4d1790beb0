// A producer thread of a host whose power is going to be cut.

import { workerData } from 'node:worker_threads'
import { connect, type LogHandle } from '../../../src/index.ts'
import { Committer, tellRefusal } from './producer.ts'

const { handle, ...work } = workerData as { handle: LogHandle; run: number; number: number; limit: number }
// It may come when the log is closed already.
await tellRefusal(() => new Committer(connect(handle), work).work())
