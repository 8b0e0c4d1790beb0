// The tasks that the command line runs in its pool of producers.
import { workerData } from 'node:worker_threads'
import { type AppendResult, appendChunk } from '../src/cli/append-task.ts'
import type { BenchTask } from '../src/cli/bench-control.ts'
import { type BenchResult, runBench } from '../src/cli/bench-task.ts'
import type { LineChunk } from '../src/cli/line-source.ts'

export function append(chunk: LineChunk): Promise<AppendResult> {
  return appendChunk(chunk, workerData)
}

export function bench(task: BenchTask): Promise<BenchResult> {
  return runBench(task)
}
