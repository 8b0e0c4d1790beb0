import type { CrashChoice } from './simulated-file.ts'

/** A change of names that is not durable yet. */
interface Operation {
  /** The names it touches, and the file: a later operation on any of them cannot reach the disk before it. */
  touches: (string | number)[]
  apply(entries: Map<string, number>): void
}

/** The names in one directory, and which changes of them have reached the disk. */
export class SimulatedDirectory {
  readonly entries: Map<string, number>
  #durable: ReadonlyMap<string, number>
  #pending: Operation[]

  private constructor(
    entries: Map<string, number>,
    durable: ReadonlyMap<string, number>,
    pending: Operation[],
  ) {
    this.entries = entries
    this.#durable = durable
    this.#pending = pending
  }

  static empty(): SimulatedDirectory {
    return new SimulatedDirectory(new Map(), new Map(), [])
  }

  copy(): SimulatedDirectory {
    return new SimulatedDirectory(new Map(this.entries), this.#durable, [...this.#pending])
  }

  link(name: string, file: number): void {
    this.#do([name, file], (entries) => entries.set(name, file))
  }

  unlink(name: string): void {
    this.#do([name, this.entries.get(name)!], (entries) => entries.delete(name))
  }

  /** Atomic, as on every journaling file system: after a crash the file has one of both names. */
  rename(from: string, to: string): void {
    const file = this.entries.get(from)!
    this.#do([from, to, file], (entries) => {
      entries.delete(from)
      entries.set(to, file)
    })
  }

  sync(): void {
    if (this.#pending.length === 0) return
    this.#durable = new Map(this.entries)
    this.#pending = []
  }

  /** The directory after a power cut. */
  afterPowerCut(choice: CrashChoice): SimulatedDirectory {
    const entries = new Map(this.#durable)
    const held = new Set<string | number>()
    for (const { touches, apply } of this.#pending) {
      const isHeld = touches.some((thing) => held.has(thing))
      if (!isHeld && choice.directoryOperation()) apply(entries)
      else for (const thing of touches) held.add(thing)
    }
    return new SimulatedDirectory(entries, new Map(entries), [])
  }

  #do(touches: (string | number)[], apply: (entries: Map<string, number>) => void): void {
    apply(this.entries)
    this.#pending.push({ touches, apply })
  }
}
