import { workerData } from 'node:worker_threads'
import { GroupWalError } from '../../src/index.ts'

// How this worker starts: the first word of a shared array, so that the one that replaces it can start otherwise.
const START = ['well', 'throw', 'exit', 'late', 'own', 'hold']
const words = workerData as Int32Array
const how = START[words[0]!]

if (how === 'throw') throw Object.assign(new TypeError('cannot start'), { code: 'E_START' })
if (how === 'exit') process.exit(4)
if (how === 'own') throw new GroupWalError('GROUPWAL_TOO_MANY_PRODUCERS', 'no place')
if (how === 'late') {
  setImmediate(() => {
    throw new Error('uncaught while starting')
  })
  await new Promise((resolve) => setTimeout(resolve, 60_000))
}

if (how === 'hold') {
  // The second word tells that it stands here. It stays until it is ended.
  Atomics.store(words, 1, 1)
  Atomics.notify(words, 1)
  Atomics.wait(words, 0, START.indexOf('hold'))
}

export default function task(nextStart: number | undefined): string {
  if (nextStart === undefined) return 'done'
  words[0] = nextStart
  process.exit(5)
}
