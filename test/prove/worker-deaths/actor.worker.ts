// A producer that does what its driver (actor.ts) tells it, and says when it was done.

import { runInNewContext } from 'node:vm'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { connect, type LogHandle } from '../../../src/index.ts'
import { installTraps, type TrapData } from '../../support/step-traps.ts'
import type { ActorReply, ActorRequest } from './actor.ts'
import { nowMs } from './clock.ts'

const { handle, traps, port } = workerData as {
  handle: LogHandle
  traps: TrapData | undefined
  port: MessagePort
}
if (traps !== undefined) installTraps(traps)
const producer = connect(handle) as unknown as Record<string, (...args: unknown[]) => unknown>
const { wait } = Atomics

port.on('message', async ({ id, method, args, vmTimeoutMs }: ActorRequest) => {
  let reply: ActorReply
  try {
    const value = await perform(method, args, vmTimeoutMs)
    reply = { id, atMs: nowMs(), value, error: undefined }
  } catch (error) {
    const { stack, code } = error as Error & { code?: string }
    reply = { id, atMs: nowMs(), value: undefined, error: { text: `${code ?? ''} ${stack}` } }
  }
  port.postMessage(reply)
  if (method === 'close') {
    port.close()
    parentPort!.close()
  }
})

function perform(method: string, args: unknown[], vmTimeoutMs: number | undefined): unknown {
  if (method === 'bareWait') return wait(args[0] as Int32Array, 0, args[1] as number)
  const call = (): unknown => producer[method](...args)
  return vmTimeoutMs === undefined ? call() : runInNewContext('call()', { call }, { timeout: vmTimeoutMs })
}

port.postMessage({ id: 0, atMs: nowMs(), value: 'connected', error: undefined } satisfies ActorReply)
