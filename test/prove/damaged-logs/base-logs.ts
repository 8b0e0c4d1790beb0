import { HandmadeLog, noopPayload } from '../../support/handmade-log.ts'

/** A log to damage: its files, and what stood in them in an earlier life. */
export interface BaseLog {
  name: string
  files: Map<string, Uint8Array>
  /** By file; of the same length. */
  stale: Map<string, Uint8Array>
  /** So small that it is cut short at every byte in short runs, too. */
  isCutEverywhere: boolean
}

const BLOCK = 4096

/** Small logs that between them have everything that a log can hold. */
export function baseLogs(): BaseLog[] {
  return [
    plain('two frames', oneSegment(3).put('a').put('b')),
    plain('closed in order', oneSegment(5).put('one').put('two', 'three').seal().seal(true)),
    plain('two frames in flight', inFlight()),
    plain('torn, and the frame behind is whole', tornInFlight()),
    plain('a noop', withNoop()),
    plain('large frames', oneSegment(7).put('x'.repeat(4200)).put('y'.repeat(300), 'z').put('end')),
    plain('several segments', severalSegments()),
    plain('a fence after a failure', fenced()),
    plain('a fence without a frame behind it', fencedAndEmpty()),
    plain('a gap behind copied frames', copied()),
    plain('a fence that was replaced', fencedTwice()),
    recycled(),
  ]
}

/**
 * A log, and as its files' earlier life segments full of frames. They had the same numbers, as one has that a crash
 * kept from being used, so that nothing but half of a salt tells the lives apart.
 */
export function withOlderLife(
  name: string,
  files: Map<string, Uint8Array>,
  isCutEverywhere: boolean,
): BaseLog {
  const stale = new Map<string, Uint8Array>()
  for (const [file, bytes] of files) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const salt = view.getBigUint64(16, true) ^ (stale.size % 2 === 0 ? 1n << 40n : 1n)
    const segmentSequence = Number(view.getBigUint64(8, true))
    const old = new HandmadeLog().segment({ segmentSequence, salt }, bytes.length)
    while (old.offset < bytes.length) {
      const payload = Buffer.from(`of an earlier life ${old.offset}`)
      old.frame({ records: [{ lsn: old.nextLsn, payload }], salt })
    }
    stale.set(file, old.file(segmentSequence))
  }
  return { name, files, stale, isCutEverywhere }
}

function plain(name: string, { files }: HandmadeLog): BaseLog {
  const bytes = Array.from(files.values()).reduce((sum, { length }) => sum + length, 0)
  return withOlderLife(name, files, bytes <= 12 * BLOCK)
}

function oneSegment(blocks: number): HandmadeLog {
  return new HandmadeLog().segment({}, blocks * BLOCK)
}

/** Each frame was staged when the one before was not durable yet. */
function inFlight(): HandmadeLog {
  const log = oneSegment(6)
  for (const [index, text] of ['one', 'two', 'three', 'four'].entries()) {
    log.frame({
      records: [{ lsn: index + 1, payload: Buffer.from(text) }],
      durableLsn: Math.max(0, index - 1),
    })
  }
  return log
}

/** The older one of the last two frames did not reach the disk. */
function tornInFlight(): HandmadeLog {
  const log = inFlight()
  const { offset } = log.frames[2]
  log.file(1).fill(0, offset, offset + BLOCK)
  return log
}

function withNoop(): HandmadeLog {
  const log = oneSegment(5).put('a')
  const records = [
    { lsn: 2, recordType: 0x7f00, payload: noopPayload(3) },
    { lsn: 5, payload: Buffer.from('b') },
  ]
  return log.frame({ records, lsnCount: 4 }).put('c').seal()
}

function severalSegments(): HandmadeLog {
  const log = oneSegment(3).put('one').put('two')
  log
    .segment({}, 3 * BLOCK)
    .put('three', 'four')
    .seal()
  return log
    .segment({}, 4 * BLOCK)
    .put('five')
    .put('six')
}

/** Frames failed, and resume() cut them off. */
function fenced(): HandmadeLog {
  const log = oneSegment(5).put('one').put('two')
  const { last } = log
  log.put('failed').put('failed, too')
  log.cutSegment({ segment: 1, last, gapLast: 4 }, 4 * BLOCK)
  return log.frame({ records: [{ lsn: 5, payload: Buffer.from('five') }], durableLsn: 2 }).put('six')
}

/** Nothing but the fence proves the only frame of the segment before. */
function fencedAndEmpty(): HandmadeLog {
  const log = oneSegment(3).put('one').put('two')
  log.segment({}, 4 * BLOCK).put('three')
  const { last } = log
  log.put('failed')
  return log.cutSegment({ segment: 2, last, gapLast: 4 }, 2 * BLOCK)
}

/** After an unclean end recovery copied the frames that nothing proved, and left a gap. */
function copied(): HandmadeLog {
  const log = oneSegment(4).put('one').put('two', 'three')
  const { endOffset, checksum } = log.frames[0]
  const cut = {
    cutSegment: 1,
    cutOffset: endOffset,
    cutLastLsn: 1,
    cutFrameSequence: 1,
    cutChecksum: checksum,
  }
  const gap = { provenOffset: 2 * BLOCK, gapFirst: 4, gapLast: 1003 }
  log.segment({ nextLsn: 1004, nextFrameSequence: 3, ...cut, ...gap }, 5 * BLOCK)
  log.frameSequence = 1
  log.nextLsn = 2
  log.previousOffset = 0
  log.previousChecksum = checksum
  log.put('two', 'three')
  log.nextLsn = 1004
  const records = [{ lsn: 1004, payload: Buffer.from('behind the gap') }]
  return log.frame({ records, durableLsn: 3 }).put('and one more')
}

function fencedTwice(): HandmadeLog {
  const log = oneSegment(4).put('one')
  const { last } = log
  log.put('failed')
  log.cutSegment({ segment: 1, last, gapLast: 2 }, 3 * BLOCK)
  log.put('failed again')
  // The second fence cuts the first one at its beginning: it has no frame that counts.
  log.segment(
    {
      cutSegment: 2,
      cutOffset: BLOCK,
      cutLastLsn: 1,
      cutFrameSequence: 1,
      cutChecksum: last.checksum,
      gapFirst: 2,
      gapLast: 3,
      nextLsn: 4,
      nextFrameSequence: 2,
    },
    4 * BLOCK,
  )
  log.frameSequence = 1
  log.nextLsn = 4
  log.previousOffset = 0
  log.previousChecksum = last.checksum
  return log.frame({ records: [{ lsn: 4, payload: Buffer.from('four') }], durableLsn: 1 }).seal()
}

/** Behind the frames of each segment stand those of its file's earlier life. */
function recycled(): BaseLog {
  const old = oneSegment(6)
  for (let number = 1; number <= 3; number++) {
    if (number > 1) old.segment({}, 6 * BLOCK)
    for (let frame = 0; frame < 5; frame++) old.put(`old ${number} ${frame}`)
  }
  const log = new HandmadeLog()
  log.segmentSequence = 3
  log.frameSequence = old.frameSequence
  log.nextLsn = old.nextLsn
  log.previousOffset = old.previousOffset
  log.previousChecksum = old.previousChecksum
  const ends: number[] = []
  for (let number = 4; number <= 6; number++) {
    log
      .segment({}, 6 * BLOCK)
      .put(`new ${number}`)
      .put(`new ${number}, 2`)
    ends.push(log.offset)
  }
  const stale = new Map<string, Uint8Array>()
  for (const [index, [name, file]] of [...log.files].entries()) {
    const before = old.file(index + 1)
    file.set(before.subarray(ends[index]), ends[index])
    stale.set(name, before)
  }
  return { name: 'recycled segments', files: log.files, stale, isCutEverywhere: false }
}
