// Without /proc (see without-proc.test.ts): a producer dies with the commit-lock, and its exit is reported.
import { existsSync } from 'node:fs'
import { openLog } from '../../src/index.ts'
import { untilCommitterSleeps } from '../support/committer-sleep.ts'
import { ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'

const log = await openLog(process.argv[2], { segmentBytes: 1 << 20, syncMethod: 'fdatasync' })
const deaths: number[] = []
log.on('producer-died', ({ workerId }) => deaths.push(workerId))
const survivor = await ScriptedProducer.start(log)
const traps = new StepTraps()
const victim = await ScriptedProducer.start(log, { traps })
const { threadId } = victim.worker
// Else the committer may lead in its place.
await untilCommitterSleeps(log)
// The first one publishes its record, the second one takes the lock.
traps.arm(3, 'hold', 'compareExchange')
void victim.commitSync('of the dead')
await traps.reached()
await victim.terminate()
const unreported = await survivor.commitSync('before the report', { timeoutMs: 300 })
log.noteWorkerExit(threadId)
const reported = await survivor.commitSync('after the report', { timeoutMs: 10_000 })
const promised = await survivor.commit('a promise')
const { takeovers } = log.stats()
const texts = Array.from(log.read(), ({ payload }) => Buffer.from(payload).toString())
await survivor.close()
await log.close()
console.log(
  JSON.stringify({
    hasProc: existsSync('/proc/self'),
    unreported: unreported.error?.code,
    reported: reported.value,
    promised: promised.value,
    isTold: deaths.length === 1 && deaths[0] === threadId,
    takeovers,
    texts,
  }),
)
