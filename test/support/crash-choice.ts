import type { Random } from './random.ts'

/** Whether an unsynced sector reached the disk; bytes where the write was torn within it and left these. */
export type SectorFate = boolean | Uint8Array

/** Chooses what a power cut leaves of the things that were not synced. */
export interface CrashChoice {
  /**
   * Did this unsynced sector reach the disk?
   *
   * @param differs false where that makes no difference, since it was written with what stood there
   */
  sector(differs: boolean): SectorFate
  /** Did the unsynced size of a file? */
  fileSize(): boolean
  /** Did this unsynced directory operation? Those that depend on one that did not are not asked for. */
  directoryOperation(): boolean
}

/** Nothing that was not synced survives. */
export const loseAll: CrashChoice = {
  sector: () => false,
  fileSize: () => false,
  directoryOperation: () => false,
}
/** Everything has just reached the disk. */
export const keepAll: CrashChoice = {
  sector: () => true,
  fileSize: () => true,
  directoryOperation: () => true,
}

/** A random subset, with a random leaning so that near-complete and near-empty states are met too. */
export function randomChoice(random: Random): CrashChoice {
  const [sector, fileSize, operation] = [0, 0, 0].map(() => [0.05, 0.5, 0.5, 0.95][random.int(4)]!)
  return {
    sector: () => random.chance(sector!),
    fileSize: () => random.chance(fileSize!),
    directoryOperation: () => random.chance(operation!),
  }
}
