// @timeout 100
import { test } from 'uvu'
import { readdirSync, readFileSync } from 'node:fs'
import { openFaulty } from '../support/failing-log.ts'
import { ScriptedProducer } from '../support/scripted-producer.ts'
import { StepTraps } from '../support/step-traps.ts'
test('x', async () => {
  const { log } = await openFaulty({}, 0)
  const traps = new StepTraps()
  const victim = await ScriptedProducer.start(log, { traps })
  for (let round = 0; round < 1500; round++) {
    traps.arm(2, 'spin')
    let done = false
    const call = victim.call('commitSync', [{ payload: 'x' }], 5).then((r) => { done = true; return r })
    const t = Date.now()
    while (!done) {
      await new Promise((r) => setTimeout(r, 5))
      if (Date.now() - t > 4000) {
        console.log('HUNG round', round, 'steps', traps.steps, 'sprung', traps.isSprung)
        for (const tid of readdirSync('/proc/self/task')) console.log(tid, readFileSync(`/proc/self/task/${tid}/stat`, 'latin1').split(' ').slice(1, 3).join(' '), readFileSync(`/proc/self/task/${tid}/stat`, 'latin1').split(' ').slice(13, 15).join(' '), readFileSync(`/proc/self/task/${tid}/syscall`, 'latin1').split(' ')[0], readFileSync(`/proc/self/task/${tid}/wchan`, 'latin1'))
        console.log('pid', process.pid)
        await new Promise((r) => setTimeout(r, 15000))
        process.exit(3)
      }
    }
    await call
    traps.disarm()
    await victim.commitSync('again')
  }
  await victim.close()
  await log.close()
})
test.run()
