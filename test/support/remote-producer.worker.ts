// A producer in a thread of its own that does what it is told by messages, see remote-producer.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { connect, type Producer } from '../../src/index.ts'

const producer = connect(workerData)
const port = parentPort!

port.on('message', ({ id, method, args }: { id: number; method: keyof Producer; args: unknown[] }) => {
  void answer(id, method, args)
})
port.postMessage({ id: 0, value: 'connected' })

async function answer(id: number, method: keyof Producer, args: unknown[]): Promise<void> {
  try {
    const call = producer[method] as (...args: unknown[]) => unknown
    port.postMessage({ id, value: await call.apply(producer, args) })
    if (method === 'close') port.close()
  } catch (error) {
    const { name, message, code, outcome, lsn, cause } = error as Record<string, unknown>
    const causeCode = (cause as { code?: unknown } | undefined)?.code
    port.postMessage({ id, failure: { name, message, code, outcome, lsn, causeCode } })
  }
}
