import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import { connect, GroupWalError } from '../../src/index.ts'
import type { ScriptedCall, ScriptedReply, ScriptedWorkerData } from './scripted-producer.ts'
import { installTraps } from './step-traps.ts'

const { handle, traps } = workerData as ScriptedWorkerData
if (traps !== undefined) installTraps(traps)
const producer = connect(handle)
const calls = producer as unknown as Record<string, (...values: unknown[]) => unknown>

parentPort!.on('message', async ({ id, method, args, vmTimeoutMs }: ScriptedCall) => {
  let reply: ScriptedReply
  try {
    reply = { id, value: await perform(method, args, vmTimeoutMs), error: undefined }
  } catch (error) {
    reply = { id, value: undefined, error: flatten(error as Error) }
  }
  parentPort!.postMessage(reply)
  if (method === 'close') parentPort!.close()
})

function perform(method: string, args: unknown[], vmTimeoutMs: number | undefined): unknown {
  if (method === 'get') return (producer as unknown as Record<string, unknown>)[args[0] as string]
  if (vmTimeoutMs === undefined) return calls[method](...args)
  return runInNewContext('call()', { call: () => calls[method](...args) }, { timeout: vmTimeoutMs })
}

function flatten(error: Error): ScriptedReply['error'] {
  const { code, outcome, lsn } = error as { code?: string; outcome?: string; lsn?: number }
  const causeCode = (error.cause as { code?: string } | undefined)?.code
  const { name, message, stack } = error
  return { name, message, code, outcome, lsn, causeCode, isGroupWal: GroupWalError.is(error), stack }
}
