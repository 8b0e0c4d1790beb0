// One of the processes of shards.ts: takes jobs from its parent until there are none.

import { EXPLORATIONS } from './configurations.ts'
import { buildExplored, explore } from './explorer.ts'
import type { ShardJob } from './shards.ts'

const build = await buildExplored()
process.on('message', ({ name, options }: ShardJob) => {
  const exploration = EXPLORATIONS.find((each) => each.name === name)!
  process.send!(explore(exploration, build, options))
})
process.on('disconnect', () => process.exit())
process.send!('ready')
