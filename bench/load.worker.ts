// A thread that makes load: joins the subject once, then does a run for each message.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { runLoop } from './loops.ts'
import { subjects } from './subjects/index.ts'
import type { Load } from './types.ts'

/** What the arena gives to a thread. */
export interface LoadTask {
  subject: string
  shared: unknown
  index: number
  port: MessagePort | undefined
  load: Load
  control: Int32Array
}

async function main(): Promise<void> {
  const { subject, shared, index, port, load, control } = workerData as LoadTask
  const writer = await subjects[subject]!.join(shared, index, port)
  parentPort!.on('message', async (message: 'run' | 'close') => {
    if (message === 'run') {
      parentPort!.postMessage(await runLoop(writer, load, control))
    } else {
      await writer.close()
      parentPort!.close()
    }
  })
  parentPort!.postMessage('ready')
}

void main()
