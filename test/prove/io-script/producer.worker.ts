// A producer in a thread that serves one log after the other, and does what producer-thread.ts tells it.
import { parentPort } from 'node:worker_threads'
import { connect, GroupWalError, type LogHandle, type Producer } from '../../../src/index.ts'
import type { ThreadCall, ThreadReply } from './producer-thread.ts'

const port = parentPort!
let producer: Producer | undefined

port.on('message', (call: ThreadCall) => {
  let reply: ThreadReply
  try {
    reply = { id: call.id, value: perform(call), error: undefined }
  } catch (error) {
    const { name, message, code, outcome, lsn } = error as Record<string, never>
    const isTyped = GroupWalError.is(error)
    reply = { id: call.id, value: undefined, error: { name, message, code, outcome, lsn, isTyped } }
  }
  port.postMessage(reply)
})

function perform({ method, args }: ThreadCall): unknown {
  if (method === 'connect') {
    producer = connect(args[0] as LogHandle)
    return undefined
  }
  const call = producer![method] as (...args: unknown[]) => unknown
  return call.apply(producer, args)
}
