import { ClientTable } from '../shared/clients.ts'
import { Control } from '../shared/control.ts'
import { Doorbell } from '../shared/doorbell.ts'
import { KeeperWords } from '../shared/keeper-words.ts'
import type { SharedMemory } from '../shared/memory.ts'
import { Phases } from '../shared/phase.ts'
import { Ring } from '../shared/ring.ts'
import { SlotTable } from '../shared/slots.ts'
import { Counters } from '../shared/stats.ts'
import type { Sources } from '../storage/segment-file.ts'
import type { Liveness } from './liveness.ts'
import type { SegmentSupply } from './segment-supply.ts'
import type { SegmentWriter } from './segment-writer.ts'

/** Wall clock and a monotonic clock, injected. */
export interface Clock {
  /** Milliseconds since 1970; may run backwards. */
  wallMs(): number
  /** Milliseconds since some instant, the same one in every thread of the process; never runs backwards. */
  monotonicMs(): number
}

/** Everything one client needs to take part in the commit protocol. Belongs to one thread. */
export interface CommitContext {
  readonly memory: SharedMemory
  readonly control: Control
  readonly doorbell: Doorbell
  readonly keeper: KeeperWords
  readonly ring: Ring
  readonly slots: SlotTable
  readonly phases: Phases
  readonly clients: ClientTable
  readonly counters: Counters
  /** Number of this client's line. */
  readonly client: number
  /** The thread word of that line. */
  readonly thread: number
  readonly liveness: Liveness
  readonly writer: SegmentWriter
  readonly supply: SegmentSupply
  readonly clock: Clock
  readonly sources: Sources
}

/** The views that every client has, upon its thread's own view of the memory. */
export function createViews(
  memory: SharedMemory,
): Pick<
  CommitContext,
  'memory' | 'control' | 'doorbell' | 'keeper' | 'ring' | 'slots' | 'phases' | 'clients' | 'counters'
> {
  return {
    memory,
    control: new Control(memory),
    doorbell: new Doorbell(memory),
    keeper: new KeeperWords(memory),
    ring: new Ring(memory),
    slots: new SlotTable(memory),
    phases: new Phases(memory),
    clients: new ClientTable(memory),
    counters: new Counters(memory),
  }
}
