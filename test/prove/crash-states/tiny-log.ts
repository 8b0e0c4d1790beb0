import { randomBytes } from 'node:crypto'
import { FLAG_SEAL, FRAME_HEADER_BYTES } from '../../../src/format/frame.ts'
import { GRANULE_BYTES } from '../../../src/format/record.ts'
import { INTERNAL_CLIENTS } from '../../../src/host/connect.ts'
import { rememberMemory } from '../../../src/host/handle.ts'
import { Log } from '../../../src/host/log.ts'
import { resolveOptions } from '../../../src/host/options.ts'
import { type RecoveryResult, recover } from '../../../src/recovery/recover.ts'
import { Control } from '../../../src/shared/control.ts'
import { KeeperWords } from '../../../src/shared/keeper-words.ts'
import { planLayout } from '../../../src/shared/layout.ts'
import { SharedMemory } from '../../../src/shared/memory.ts'
import { Phases } from '../../../src/shared/phase.ts'
import { Ring } from '../../../src/shared/ring.ts'
import type { FileSystemModule } from '../../../src/storage/file-system.ts'
import { loadFileSystem } from '../../../src/storage/load-file-system.ts'
import { isDirect, type SyncMethod } from '../../../src/storage/sync-method.ts'

export const BLOCK_BYTES = 4096
const RING_BYTES = 16384
const MAX_BATCH_BYTES = 8192
const MAX_PRODUCERS = 8

/** What the options of `openLog` do not allow: segments of a few blocks. */
export interface TinyOptions {
  segmentBytes: number
  method: SyncMethod
  slots: number
  fileSystem: FileSystemModule
}

/** What recovery is told of the log's options; the same as `openLog` tells it. */
export function tinyRecoverOptions(
  options: Pick<TinyOptions, 'segmentBytes' | 'method' | 'slots'>,
): Pick<
  Parameters<typeof recover>[2],
  'segmentBytes' | 'maxOutstandingRecords' | 'blockBytes' | 'directReads' | 'directWrites'
> {
  return {
    segmentBytes: options.segmentBytes,
    maxOutstandingRecords: Math.ceil((RING_BYTES + options.slots * MAX_BATCH_BYTES) / GRANULE_BYTES),
    blockBytes: BLOCK_BYTES,
    directReads: isDirect(options.method),
    directWrites: isDirect(options.method),
  }
}

/**
 * Opens a log as `openLog` does, with its internal workers, but so small that a short run goes through many segments
 * and its disk can be gone through in all states.
 */
export function openTinyLog(directory: string, options: TinyOptions): Promise<Log> {
  const fs = loadFileSystem(options.fileSystem)
  const layout = planLayout({
    ringBytes: RING_BYTES,
    maxBatchBytes: MAX_BATCH_BYTES,
    slotCount: options.slots,
    committerRecords: 2,
    maxClients: MAX_PRODUCERS + INTERNAL_CLIENTS,
    blockBytes: BLOCK_BYTES,
    segmentBytes: options.segmentBytes,
    frameHeaderBytes: FRAME_HEADER_BYTES,
  })
  const { memory, aligned } = SharedMemory.allocate(layout)
  const recoverOptions = tinyRecoverOptions(options)
  const recovered = recover(fs, directory, {
    ...recoverOptions,
    randomBytes: (count) => randomBytes(count),
    nowMs: () => Date.now(),
  })
  initializeMemory(memory, recovered)
  const { method } = options
  const handle = Object.freeze({
    groupwal: 1 as const,
    pid: process.pid,
    directory,
    region: memory.region,
    syncMethod: method,
    logId: recovered.logId,
    maxOutstandingRecords: recoverOptions.maxOutstandingRecords,
    sealIdleMs: 3,
    ownLeadMicros: 500,
    fileSystem: options.fileSystem,
  })
  rememberMemory(memory.region, memory)
  const environment = {
    fsType: '',
    device: '',
    mountPoint: '',
    mountOptions: [],
    physicalBlockBytes: undefined,
    blockBytes: BLOCK_BYTES,
    warnings: [],
  }
  return Log.start({
    fs,
    options: { ...resolveOptions(directory), segmentBytes: options.segmentBytes },
    handle,
    lock: undefined,
    report: recovered.report,
    sync: { method, reason: 'asked for', warnings: [], measuredMicros: {} },
    environment,
    aligned,
  })
}

/** As src/host/open.ts begins. */
function initializeMemory(memory: SharedMemory, recovered: RecoveryResult): void {
  const control = new Control(memory)
  const { segment } = recovered
  new Ring(memory).initialize(0, recovered.nextLsn % 2 ** 32)
  new Phases(memory).initialize()
  control.storeHeadLsn(recovered.nextLsn)
  control.raiseDurableLsn(recovered.durableLsn)
  control.storeChain({
    segment: segment.sequence,
    offset: recovered.previousOffset,
    endOffset: recovered.writeOffset,
    frameSequence: recovered.nextFrameSequence - 1,
    checksum: recovered.previousChecksum,
  })
  control.storeSegment(segment.sequence, segment.saltLow, segment.saltHigh, segment.segmentBytes)
  new KeeperWords(memory).storeZeroed(segment.sequence, segment.zeroedTo)
  control.storeLastFrameFlags(FLAG_SEAL)
}
