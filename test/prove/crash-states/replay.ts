import { constants } from 'node:fs'
import { basename, dirname } from 'node:path'
import { SimulatedTree } from '../../support/simulated-directory.ts'
import { SimulatedDisk } from '../../support/simulated-disk.ts'
import { SimulatedFile, type UnsyncedPart } from '../../support/simulated-file.ts'
import { FrameGuard } from './frame-guard.ts'
import { Knowledge } from './knowledge.ts'
import { EVENTS } from './recorder.ts'
import { eventsOf, type TraceEvent, USER_EVENTS } from './trace.ts'

/** Where the log of a trace stands on the simulated disk. */
export const LOG_DIRECTORY = '/log'

/** A moment of a run at which the machine may stop. */
export interface CrashPoint {
  /** How many events of the trace have happened. */
  eventCount: number
  /** As it is: unsynced parts in the page cache. */
  disk: SimulatedDisk
  knowledge: Knowledge
}

interface OpenFile {
  file: number
  isDirect: boolean
  isDsync: boolean
}

/** A call that has begun and not ended. */
type Running =
  | { kind: 'write'; file: number; position: number; length: number; isDsync: boolean }
  | { kind: 'sync'; file: number; part: UnsyncedPart; isDirect: boolean }
  | { kind: 'syncDirectory'; path: string; operationCount: number }

/** What a replay leaves out, to see that it is missed. */
export type LeftOut = 'nothing' | 'file syncs' | 'directory syncs'

/** Does to a simulated disk what a trace says, event by event. */
export class Replay {
  readonly events: TraceEvent[]
  readonly knowledge: Knowledge = new Knowledge()
  #tree: SimulatedTree = SimulatedTree.empty()
  readonly #files: Map<number, SimulatedFile> = new Map()
  readonly #open: Map<number, OpenFile> = new Map()
  readonly #running: Map<number, Running> = new Map()
  readonly #guard: FrameGuard = new FrameGuard()
  readonly #leftOut: LeftOut
  #owner: object = {}
  #nextFile = 1
  #directory = ''

  constructor(numbers: Float64Array, leftOut: LeftOut = 'nothing') {
    this.events = eventsOf(numbers)
    this.#leftOut = leftOut
  }

  /**
   * Calls `visit` with each moment at which a crash leaves something else than before, or more is demanded.
   *
   * @throws BrokenPromise where the run itself has overwritten a frame, or returned something else than it should
   */
  forEachPoint(visit: (point: CrashPoint) => void): void {
    let hasBegun = false
    let isNew = false
    for (const [index, event] of this.events.entries()) {
      const isOfDisk = event.kind < USER_EVENTS.directory
      if (isOfDisk && hasBegun && isNew) {
        visit(this.#point(index))
        isNew = false
      }
      if (event.kind === USER_EVENTS.begin) hasBegun = isNew = true
      else if (isOfDisk) isNew = this.#change(event) || isNew
      else isNew = this.#learn(event) || isNew
    }
    visit(this.#point(this.events.length))
  }

  #point(eventCount: number): CrashPoint {
    this.#owner = {}
    return { eventCount, disk: SimulatedDisk.of(this.#tree.copy(), this.#files), knowledge: this.knowledge }
  }

  #learn(event: TraceEvent): boolean {
    const { version } = this.knowledge
    if (event.kind === USER_EVENTS.directory) this.#setDirectory(event)
    else if (event.kind === USER_EVENTS.file) this.#addFile(event)
    else this.knowledge.apply(event)
    return this.knowledge.version !== version
  }

  /** True when it makes a difference to what a crash leaves. */
  #change({ kind, thread, numbers, bytes }: TraceEvent): boolean {
    if (kind === EVENTS.open) return this.#openFile(numbers[0], numbers[1], this.#path(bytes))
    if (kind === EVENTS.writeBegin) return this.#beginWrite(thread, numbers, bytes)
    if (kind === EVENTS.writeEnd || kind === EVENTS.syncEnd) return this.#end(thread, numbers[0] === 1)
    if (kind === EVENTS.syncDirectoryEnd) return this.#end(thread, true)
    if (kind === EVENTS.syncBegin) {
      const { file, isDirect } = this.#open.get(numbers[0]) as OpenFile
      this.#running.set(thread, { kind: 'sync', file, part: this.#writable(file).unsynced(), isDirect })
      return false
    }
    if (kind === EVENTS.fault) {
      this.knowledge.noteFault()
      return false
    }
    return this.#changeNames(kind, thread, numbers, bytes)
  }

  #changeNames(kind: number, thread: number, numbers: Float64Array, bytes: Uint8Array): boolean {
    if (kind === EVENTS.truncate) this.#writable(this.#open.get(numbers[0])!.file).truncate(numbers[1])
    else if (kind === EVENTS.makeDirectory) this.#tree.add(this.#path(bytes), this.#nextFile++)
    else if (kind === EVENTS.unlink) this.#remove(this.#path(bytes))
    else if (kind === EVENTS.rename) {
      const [from, to] = Buffer.from(bytes)
        .toString()
        .split('\0')
        .map((path) => this.#simulated(path))
      const directory = this.#tree.parentOf(from)
      const replaced = directory.entries.get(basename(to))
      if (replaced !== undefined) this.#writable(replaced).linkCount = 0
      this.#guard.rename(directory.entries.get(basename(from)) as number, basename(to))
      directory.rename(basename(from), basename(to))
    } else {
      const path = this.#path(bytes)
      const { operationCount } = this.#tree.get(path)
      this.#running.set(thread, { kind: 'syncDirectory', path, operationCount })
      return false
    }
    return true
  }

  #openFile(fd: number, flags: number, path: string): boolean {
    const directory = this.#tree.parentOf(path)
    const name = basename(path)
    const isDsync = (flags & constants.O_DSYNC) === constants.O_DSYNC
    const isDirect = (flags & constants.O_DIRECT) !== 0
    const known = directory.entries.get(name)
    if (known === undefined) {
      const file = this.#addNamed(directory, name)
      this.#open.set(fd, { file, isDsync, isDirect })
      return true
    }
    this.#open.set(fd, { file: known, isDsync, isDirect })
    if ((flags & constants.O_TRUNC) === 0) return false
    this.#writable(known).truncate(0)
    return true
  }

  #beginWrite(thread: number, [fd, position, length, isZero]: Float64Array, bytes: Uint8Array): boolean {
    const { file, isDsync } = this.#open.get(fd) as OpenFile
    this.#running.set(thread, { kind: 'write', file, position, length, isDsync })
    const content = isZero === 1 ? new Uint8Array(length) : bytes
    const written = this.#writable(file)
    this.#guard.write(file, written, content, position)
    written.write(content, position)
    return true
  }

  #end(thread: number, isOk: boolean): boolean {
    const running = this.#running.get(thread) as Running
    this.#running.delete(thread)
    if (running.kind === 'syncDirectory') {
      if (this.#leftOut === 'directory syncs') return false
      const directory = this.#tree.get(running.path)
      const wasSynced = directory.isSynced
      directory.syncUpTo(running.operationCount)
      return !wasSynced
    }
    const file = this.#writable(running.file)
    if (this.#leftOut === 'file syncs' && isOk) return false
    if (running.kind === 'sync') {
      if (isOk) file.syncPart(running.part)
      else if (!running.isDirect) file.doubtPart(running.part)
      return true
    }
    const { position, length, isDsync } = running
    if (!isOk) file.doubtRange(position, length)
    else if (isDsync) file.syncRange(position, length)
    return isDsync || !isOk
  }

  #remove(path: string): void {
    const directory = this.#tree.parentOf(path)
    this.#writable(directory.entries.get(basename(path))!).linkCount = 0
    directory.unlink(basename(path))
  }

  #setDirectory({ numbers, bytes }: TraceEvent): void {
    this.#directory = Buffer.from(bytes).toString()
    if (numbers[0] === 0) return
    this.#tree.add(LOG_DIRECTORY, this.#nextFile++)
    this.#tree.get('/').sync()
  }

  #addFile({ numbers, bytes }: TraceEvent): void {
    const directory = this.#tree.get(LOG_DIRECTORY)
    const name = Buffer.from(bytes.subarray(0, numbers[0])).toString()
    const file = this.#files.get(this.#addNamed(directory, name)) as SimulatedFile
    file.write(bytes.subarray(numbers[0]), 0)
    file.sync()
    directory.sync()
  }

  #addNamed(directory: ReturnType<SimulatedTree['get']>, name: string): number {
    const id = this.#nextFile++
    const file = new SimulatedFile(this.#owner)
    file.linkCount = 1
    this.#files.set(id, file)
    directory.link(name, id)
    return id
  }

  #path(bytes: Uint8Array): string {
    return this.#simulated(Buffer.from(bytes).toString())
  }

  /** The folders above the log's are one here. */
  #simulated(path: string): string {
    if (path === this.#directory) return LOG_DIRECTORY
    return dirname(path) === this.#directory ? `${LOG_DIRECTORY}/${basename(path)}` : '/'
  }

  #writable(id: number): SimulatedFile {
    const file = this.#files.get(id) as SimulatedFile
    if (file.owner === this.#owner) return file
    const copy = file.copyFor(this.#owner)
    this.#files.set(id, copy)
    return copy
  }
}
