import { add, compareExchange, load, notify, store, type WideWords, type Words } from './atomics.ts'
import * as at from './layout.ts'
import type { SharedMemory } from './memory.ts'

const EVERYBODY = 0x7fffffff
const ZEROED_SEGMENT_FACTOR = 2 ** 32
const ZEROED_SEGMENT_MASK = 0xfffff

/** View on the segment-keeper's words: its bell, the room that a leader wants, and the segment that is made ahead. */
export class KeeperWords {
  private readonly words: Words
  private readonly wide: WideWords

  constructor(memory: SharedMemory) {
    this.words = memory.words
    this.wide = memory.wide
  }

  keeperClient(): number {
    return load(this.words, at.KEEPER_CLIENT)
  }

  storeKeeperClient(client: number): void {
    store(this.words, at.KEEPER_CLIENT, client)
  }

  /** The keeper ended before it had a line of its own: names one that nobody ever has. Then wake all who wait. */
  noteKeeperEnd(unusedClient: number): void {
    compareExchange(this.words, at.KEEPER_CLIENT, 0, unusedClient)
  }

  keeperBellIndex(): number {
    return at.KEEPER_BELL
  }

  keeperBellValue(): number {
    return load(this.words, at.KEEPER_BELL)
  }

  ringKeeper(): void {
    add(this.words, at.KEEPER_BELL, 1)
    notify(this.words, at.KEEPER_BELL, EVERYBODY)
  }

  isKeeperWorking(): boolean {
    return load(this.words, at.KEEPER_WORKING) === 1
  }

  storeKeeperWorking(working: boolean): void {
    store(this.words, at.KEEPER_WORKING, working ? 1 : 0)
  }

  wantsRoom(): boolean {
    return load(this.words, at.ROOM_WANTED) === 1
  }

  storeRoomWanted(wanted: boolean): void {
    store(this.words, at.ROOM_WANTED, wanted ? 1 : 0)
  }

  /** Why the room that a leader waits for could not be made; 0 when nothing is wrong. */
  roomErrno(): number {
    return load(this.words, at.ROOM_ERRNO)
  }

  storeRoomErrno(errno: number): void {
    store(this.words, at.ROOM_ERRNO, errno)
  }

  readyState(): number {
    return load(this.words, at.READY)
  }

  storeReadyState(state: number): void {
    store(this.words, at.READY, state)
  }

  readySegment(): number {
    return this.wide.load(at.READY_SEGMENT * 4)
  }

  readySaltLow(): number {
    return load(this.words, at.READY_SALT_LOW) >>> 0
  }

  readySaltHigh(): number {
    return load(this.words, at.READY_SALT_HIGH) >>> 0
  }

  storeReady(segment: number, saltLow: number, saltHigh: number): void {
    store(this.words, at.READY_SALT_LOW, saltLow | 0)
    store(this.words, at.READY_SALT_HIGH, saltHigh | 0)
    this.wide.store(at.READY_SEGMENT * 4, segment)
    store(this.words, at.READY, 1)
  }

  /** How far the segment is written with zeros (or was written in an earlier life): frames end at or before it. 0 when the word is about another segment. */
  zeroedTo(segment: number): number {
    const value = this.wide.load(at.ZEROED * 4)
    const offset = value % ZEROED_SEGMENT_FACTOR
    return (value - offset) / ZEROED_SEGMENT_FACTOR === (segment & ZEROED_SEGMENT_MASK) ? offset : 0
  }

  storeZeroed(segment: number, offset: number): void {
    this.wide.store(at.ZEROED * 4, (segment & ZEROED_SEGMENT_MASK) * ZEROED_SEGMENT_FACTOR + offset)
  }

  /** Moves the mark on, unless another segment is current by now. */
  advanceZeroed(segment: number, from: number, to: number): boolean {
    const base = (segment & ZEROED_SEGMENT_MASK) * ZEROED_SEGMENT_FACTOR
    return this.wide.compareExchange(at.ZEROED * 4, base + from, base + to) === base + from
  }
}
