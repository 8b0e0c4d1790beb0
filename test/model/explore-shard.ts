// One of the processes of explore.ts: takes work from its parent until there is none.

import { buildProtocol, loadProtocol } from './build-protocol.ts'
import { EXPLORATIONS } from './configurations.ts'
import { type ExploreOptions, explore } from './explorer.ts'

/** What the parent sends. */
export interface ShardWork {
  name: string
  options: ExploreOptions
}

const loaded = loadProtocol(await buildProtocol())
process.on('message', ({ name, options }: ShardWork) => {
  const exploration = EXPLORATIONS.find((each) => each.name === name)!
  process.send!(explore(exploration, loaded, options))
})
process.send!('ready')
