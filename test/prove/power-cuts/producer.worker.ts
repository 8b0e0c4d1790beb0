// A producer thread of a host whose power is going to be cut.

import { workerData } from 'node:worker_threads'
import { connect, type LogHandle } from '../../../src/index.ts'
import { Committer } from './producer.ts'

const { handle, ...work } = workerData as { handle: LogHandle; run: number; number: number; limit: number }
await new Committer(connect(handle), work).work()
