// A producer of `groupwal stress`. Started from its embedded source, so that it may end in any way.
import { workerData } from 'node:worker_threads'
import { runStressProducer } from '../src/cli/stress/producer.ts'

runStressProducer(workerData)
