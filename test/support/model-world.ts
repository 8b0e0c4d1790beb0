import { dropSegmentsBefore } from '../../src/storage/recycle.ts'
import { ModelLedger } from './model-ledger.ts'
import { LOG_DIRECTORY, openAndSettle } from './model-log.ts'
import type { ModelOptions, ModelWriter } from './model-writer.ts'
import { type Fault, SimulatedCrash, SimulatedDisk } from './simulated-disk.ts'

/** A disk, a log on it, and one process after the other that opens it. */
export class ModelWorld {
  readonly disk: SimulatedDisk
  readonly ledger: ModelLedger
  readonly options: ModelOptions

  constructor(options: ModelOptions, disk: SimulatedDisk = new SimulatedDisk(), ledger = new ModelLedger()) {
    this.options = options
    this.disk = disk
    this.ledger = ledger
  }

  /** Opens the log in a new process; the one before it dies, if there is one. */
  open(): ModelWriter {
    this.disk.killProcess()
    return openAndSettle(this.disk, this.options, this.ledger)
  }

  /** Commits records and makes that fail. */
  failCommit(writer: ModelWriter, fault: Fault, recordCounts: readonly number[] = [1]): void {
    this.fail(fault, () => writer.commit(recordCounts))
  }

  /** Makes a call fail while this runs, which must throw. */
  fail(fault: Fault, run: () => void): void {
    this.disk.faults.add(fault)
    try {
      run()
    } catch (error) {
      if (error instanceof SimulatedCrash) throw error
      this.disk.faults.clear()
      return
    }
    throw new Error('nothing failed')
  }

  /** Drops what is older than this LSN. */
  dropBefore(writer: ModelWriter, lsn: number, keepSpares = 2): void {
    this.ledger.keptFromLsn = Math.max(this.ledger.keptFromLsn, lsn)
    dropSegmentsBefore(this.disk, LOG_DIRECTORY, lsn, writer.segment.sequence, keepSpares)
  }
}

/** What a log goes through, in one process or several. Ends when the last process dies. */
export type Life = (world: ModelWorld) => void

/** Lives that between them meet every state that a recovery can find. */
export const LIVES: Record<string, Life> = {
  'nothing was written': (world) => {
    world.open()
  },
  'one frame': (world) => world.open().commit([2]),
  'a torn tail': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.commit([1])
    writer.writeUnsynced(3)
  },
  'LSNs handed out that reached no frame': (world) => {
    const writer = world.open()
    writer.commit([1])
    writer.handOutOnly(5)
  },
  'two frames in flight': (world) => {
    const writer = world.open()
    writer.commit([1, 1], [1, 0])
    writer.writeUnsynced(2)
    writer.writeUnsynced(1)
  },
  'an idle seal': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.seal()
  },
  'closed in order': (world) => {
    const writer = world.open()
    writer.commit([2, 1])
    writer.close()
  },
  'closed in order after an idle seal': (world) => {
    const writer = world.open()
    writer.commit([1])
    writer.seal()
    writer.close()
  },
  'closed in order and opened again': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.close()
    world.open().handOutOnly(4)
  },
  'closed in order, opened again, committed to': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.close()
    world.open().commit([1, 1])
  },
  'closed in order without room': (world) => {
    const writer = world.open()
    while (writer.hasRoom(2)) writer.commit([1])
    writer.close()
  },
  'a segment made ahead': (world) => {
    const writer = world.open()
    writer.commit([1])
    writer.prepareAhead()
    writer.writeUnsynced(2)
  },
  'a first frame behind a rotation': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.rotate()
    writer.commit([1])
  },
  'a rotation without a frame': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.rotate()
    writer.writeUnsynced(1)
  },
  'a rotation without a frame, and a segment made ahead behind it': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.rotate()
    writer.prepareAhead()
    writer.writeUnsynced(1)
  },
  'a first frame, and all before it dropped': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.rotate()
    writer.commit([1])
    world.dropBefore(writer, writer.durableLsn)
  },
  'segments dropped and used again': (world) => {
    const writer = world.open()
    for (let round = 0; round < 4; round++) {
      while (writer.hasRoom(2)) writer.commit([1, 1])
      writer.prepareAhead()
      writer.rotate()
      writer.commit([1])
      world.dropBefore(writer, writer.durableLsn)
    }
  },
  'three openings without a commit': (world) => {
    world.open()
    world.open().handOutOnly(2)
    world.open()
  },
  'copied frames only': (world) => {
    world.open().commit([3])
    world.open().handOutOnly(1)
  },
  'a commit behind copied frames': (world) => {
    world.open().commit([3])
    world.open().commit([2])
  },
  'an unproven frame behind a gap': (world) => {
    world.open().handOutOnly(3)
    world.open().commit([2])
    world.open().handOutOnly(1)
  },
  'a close behind a gap': (world) => {
    world.open().handOutOnly(3)
    world.open().close()
  },
}

/** Lives in which a commit fails. */
export const FAILED_LIVES: Record<string, Life> = {
  'a failed commit': (world) => {
    const writer = world.open()
    writer.commit([1])
    world.failCommit(writer, { call: 1, code: 'EIO' }, [2])
  },
  'a failed commit and a fence': (world) => {
    const writer = world.open()
    writer.commit([1])
    world.failCommit(writer, { call: 1, code: 'EIO' }, [2])
    writer.resume()
  },
  'a commit behind a fence': (world) => {
    const writer = world.open()
    writer.commit([1])
    world.failCommit(writer, { call: 1, code: 'EIO' }, [2, 1])
    writer.resume()
    writer.commit([2])
  },
  'a fence behind a fence': (world) => {
    const writer = world.open()
    writer.commit([1])
    for (let round = 0; round < 2; round++) {
      world.failCommit(writer, { call: 1, code: 'EIO' })
      writer.resume()
    }
    writer.commit([1])
  },
  'a fence without any frame': (world) => {
    const writer = world.open()
    world.failCommit(writer, { call: 1, code: 'ENOSPC' })
    writer.resume()
    writer.commit([1])
  },
  'a failed first frame behind a rotation': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.rotate()
    world.failCommit(writer, { call: 1, code: 'EIO' })
    writer.resume()
    writer.commit([1])
  },
  'a fence out of a segment made ahead': (world) => {
    const writer = world.open()
    writer.commit([2])
    writer.prepareAhead()
    world.failCommit(writer, { call: 1, code: 'EIO' })
    writer.resume()
    writer.commit([1])
    writer.close()
  },
  'a fence behind a seal behind a gap': (world) => {
    world.open().handOutOnly(3)
    world.open().close()
    const writer = world.open()
    world.failCommit(writer, { call: 1, code: 'ENOSPC' })
    writer.resume()
    writer.commit([1])
  },
  'a fence, and all before it dropped': (world) => {
    const writer = world.open()
    writer.commit([2])
    world.failCommit(writer, { call: 1, code: 'EIO' })
    writer.resume()
    writer.commit([1])
    world.dropBefore(writer, writer.durableLsn)
  },
}
