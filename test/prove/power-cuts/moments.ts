import { type FSWatcher, watch } from 'node:fs'
import type { Random } from '../../support/random.ts'
import type { HostWord } from './host-spec.ts'

/**
 * When the power goes.
 *
 * - `commit`: while records are committed, after some acknowledgement
 * - `new-file`: from the instant a segment in the making has a name until a little after it has its final one
 * - `rotation`: when the first frames go to the next segment
 * - `recycling`: when an old segment becomes a spare, or a spare a segment
 * - `recovery`: while the next host opens the log
 * - `close`: while the log is closed
 * - `closed`: just after
 */
export const MOMENTS = ['commit', 'new-file', 'rotation', 'recycling', 'recovery', 'close', 'closed'] as const
export type Moment = (typeof MOMENTS)[number]

/** The host is busy with other things then: the event is given up, and the cut counts as one at a commit. */
const DEADLINE_MS = 4000
/** How long at most from the event to the cut; an event begins what takes about so long. */
const LONGEST_MS: Record<Moment, number> = {
  commit: 1,
  'new-file': 6,
  rotation: 2,
  recycling: 4,
  recovery: 8,
  close: 6,
  closed: 1,
}
const MOST_ACKS = 120
/** So many events of the right kind may be passed over. */
const MOST_SKIPPED: Record<Moment, number> = {
  commit: 0,
  'new-file': 2,
  rotation: 2,
  recycling: 1,
  recovery: 9,
  close: 0,
  closed: 0,
}

/** Waits for one moment in the life of a host, by its words and by what happens in its directory. */
export class MomentWatch {
  /** Resolves with what was waited for, or with `commit` when that did not come. */
  readonly reached: Promise<Moment>
  readonly #moment: Moment
  readonly #directory: FSWatcher
  readonly #deadline: NodeJS.Timeout
  readonly #closeHost: () => void
  /** Events of the right kind that are passed over, and acknowledgements before any counts. */
  #skippedEvents: number
  #acksToGo: number
  #isOpen = false
  #isClosing = false
  /** Segments that got their name while the host was at work. */
  readonly #newSegments = new Set<string>()
  #reach: (moment: Moment) => void

  constructor(moment: Moment, directory: string, random: Random, closeHost: () => void) {
    this.#moment = moment
    this.#closeHost = closeHost
    this.#skippedEvents = random.int(MOST_SKIPPED[moment] + 1)
    this.#acksToGo = moment === 'recovery' ? Number.POSITIVE_INFINITY : 1 + random.int(MOST_ACKS)
    this.#reach = () => {}
    this.reached = new Promise((resolve) => {
      this.#reach = (reached) => {
        clearTimeout(this.#deadline)
        this.#directory.close()
        pauseMs(random.int(LONGEST_MS[moment] * 1000) / 1000)
        resolve(reached)
      }
    })
    this.#deadline = setTimeout(() => this.#reachOnce('commit'), DEADLINE_MS)
    this.#directory = watch(directory, (kind, name) => this.#onFile(kind, name ?? ''))
  }

  /** A line of the host. */
  onWord(word: HostWord): void {
    if (word === 'opened') this.#onOpened()
    if (word === 'ack') this.#acksToGo--
    if (this.#acksToGo > 0) return
    if (this.#moment === 'commit') this.#reachOnce('commit')
    if (this.#moment === 'close' || this.#moment === 'closed') this.#onCloseWord(word, this.#moment)
  }

  #onCloseWord(word: HostWord, moment: 'close' | 'closed'): void {
    if (word === (moment === 'close' ? 'closing' : 'closed')) this.#reachOnce(moment)
    if (this.#isClosing) return
    this.#isClosing = true
    this.#closeHost()
  }

  /** The host ended, by itself. */
  onEnd(): void {
    this.#reachOnce('commit')
  }

  #onOpened(): void {
    this.#isOpen = true
    // It was quicker than the events that were to be passed over.
    if (this.#moment === 'recovery') this.#reachOnce('recovery')
  }

  #onFile(kind: string, name: string): void {
    if (this.#moment === 'recovery') {
      if (!this.#isOpen) this.#skipOrReach()
      return
    }
    if (!this.#isOpen) return
    const isNew = kind === 'rename' && name.endsWith('.seg') && name.startsWith('wal-')
    if (this.#moment === 'new-file' && kind === 'rename' && name.endsWith('.tmp')) this.#skipOrReach()
    if (this.#moment === 'recycling' && name.startsWith('spare-') && kind === 'rename') this.#skipOrReach()
    if (this.#moment !== 'rotation') return
    // What is prepared is full of zeros: it changes when the first frame is written.
    if (isNew) this.#newSegments.add(name)
    else if (kind === 'change' && this.#newSegments.delete(name)) this.#skipOrReach()
  }

  #skipOrReach(): void {
    if (this.#skippedEvents-- <= 0) this.#reachOnce(this.#moment)
  }

  #reachOnce(moment: Moment): void {
    const reach = this.#reach
    this.#reach = () => {}
    reach(moment)
  }
}

/** Finer than a timer. */
function pauseMs(ms: number): void {
  if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
