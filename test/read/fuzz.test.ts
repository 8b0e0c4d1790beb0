// @timeout 120
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupWalError } from '../../src/errors.ts'
import { decodeFrameHeader } from '../../src/format/frame.ts'
import { validateBody } from '../../src/format/record.ts'
import { decodeSegmentHeader } from '../../src/format/segment-header.ts'
import { segmentName } from '../../src/format/segment-name.ts'
import { type ReadOptions, readRecords } from '../../src/read/reader.ts'
import { HandmadeLog, type HandRecord, noopPayload } from '../support/handmade-log.ts'
import { MemoryFileSystem } from '../support/memory-file-system.ts'
import { chooseSeed } from '../support/random.ts'

const seed = chooseSeed('fuzz')
const parameters = { seed, numRuns: Number(process.env.RUNS ?? 300), interruptAfterTimeLimit: 20_000 }

function read(
  files: Map<string, Uint8Array>,
  options: ReadOptions = {},
): { records: string[]; code?: string } {
  const fs = new MemoryFileSystem(files)
  const records: string[] = []
  try {
    for (const { lsn, recordType, vshardId, tenantId, payload } of readRecords(fs, 'dir', options)) {
      records.push([lsn, recordType, vshardId, tenantId, Buffer.from(payload).toString('hex')].join())
    }
    return { records }
  } catch (error) {
    if (!GroupWalError.is(error)) throw error
    return { records, code: error.code }
  } finally {
    assert.is(fs.openCount, 0)
  }
}

const record: fc.Arbitrary<Omit<HandRecord, 'lsn'>> = fc.record({
  payload: fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ minLength: 3000, maxLength: 9000 })),
  recordType: fc.oneof(fc.integer({ min: 0, max: 0x7eff }), fc.integer({ min: 0x8000, max: 0xfeff })),
  vshardId: fc.integer({ min: 0, max: 0xffff }),
  tenantId: fc.integer({ min: 0, max: 0xffffffff }),
})

type Step =
  | { kind: 'frame'; records: Array<Omit<HandRecord, 'lsn'>>; noop: number }
  | { kind: 'seal' }
  | { kind: 'rotate' }
  | { kind: 'cut'; gap: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('frame' as const),
      records: fc.array(record, { minLength: 1, maxLength: 4 }),
      noop: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('seal' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rotate' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('cut' as const), gap: fc.integer({ min: 1, max: 2 ** 40 }) }),
  },
)

const SEGMENT_BYTES = 1 << 18
const blockSizes = fc.constantFrom(4096, 8192, 16384)

interface Model {
  log: HandmadeLog
  /** What a reader must return, as text. */
  records: string[]
  lastLsn: number
}

/** Writes the steps into a log as the page says, and notes what a reader must find. */
function build(steps: Step[], blockBytes: number): Model {
  const log = new HandmadeLog().segment({ blockBytes }, SEGMENT_BYTES)
  const model: Model = { log, records: [], lastLsn: 0 }
  let framesHere = 0
  for (const next of steps) {
    if (next.kind === 'seal') log.seal()
    else if (next.kind === 'frame') appendFrame(model, next)
    else if (next.kind === 'rotate' && framesHere > 0) log.segment({ blockBytes }, SEGMENT_BYTES)
    else if (next.kind === 'cut' && framesHere > 0) appendCut(model, next.gap)
    framesHere = next.kind === 'frame' || next.kind === 'seal' ? framesHere + 1 : 0
    if (log.offset > SEGMENT_BYTES - 5 * 16384) {
      log.segment({ blockBytes }, SEGMENT_BYTES)
      framesHere = 0
    }
  }
  return model
}

function appendFrame(model: Model, step: Extract<Step, { kind: 'frame' }>): void {
  const { log } = model
  const first = log.nextLsn
  const records: HandRecord[] = step.records.map((fields, index) => ({ ...fields, lsn: first + index }))
  for (const { lsn, recordType, vshardId, tenantId, payload } of records) {
    model.records.push([lsn, recordType, vshardId, tenantId, Buffer.from(payload!).toString('hex')].join())
  }
  let lsnCount = records.length
  if (step.noop > 0) {
    records.push({ lsn: first + lsnCount, recordType: 0x7f00, payload: noopPayload(step.noop) })
    lsnCount += step.noop
  }
  log.frame({ records, lsnCount })
  model.lastLsn = log.nextLsn - 1
}

/** A failed frame, and a segment that fences it off behind a gap. */
function appendCut({ log }: Model, gap: number): void {
  const { last } = log
  log.put('failed').put('failed too')
  const blockBytes = log.blockBytes
  log.cutSegment({ segment: log.segmentSequence, last, gapLast: last.endLsn + gap }, SEGMENT_BYTES)
  assert.is(log.blockBytes, blockBytes)
}

const plans = fc.tuple(fc.array(step, { minLength: 1, maxLength: 25 }), blockSizes)

test('whatever was written is read back, in full and in every range', () => {
  fc.assert(
    fc.property(plans, fc.nat(), fc.nat(), (plan, a, b) => {
      const { log, records, lastLsn } = build(...plan)
      assert.equal(read(log.files), { records })
      assert.equal(read(log.files, { toLsn: lastLsn }), { records })
      const lsns = records.map((text) => Number.parseInt(text, 10))
      const from = lsns.length === 0 ? 1 : lsns[a % lsns.length]
      const to = lsns.length === 0 ? 0 : lsns[b % lsns.length]
      const expected = records.filter((_, index) => lsns[index] >= from && lsns[index] <= to)
      assert.equal(read(log.files, { fromLsn: from, toLsn: to }), { records: expected })
    }),
    parameters,
  )
})

/** Ways to damage a file, at a place that is chosen as a fraction of its length. */
type Damage =
  | { kind: 'bytes'; at: number; bytes: Uint8Array }
  | { kind: 'zeros'; at: number; length: number }
  | { kind: 'truncate'; at: number }
  | { kind: 'copy'; at: number; from: number; blocks: number }
  | { kind: 'remove' }

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({
    kind: fc.constant('bytes' as const),
    at: fraction,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  }),
  fc.record({
    kind: fc.constant('zeros' as const),
    at: fraction,
    length: fc.integer({ min: 1, max: 20_000 }),
  }),
  fc.record({ kind: fc.constant('truncate' as const), at: fraction }),
  fc.record({
    kind: fc.constant('copy' as const),
    at: fraction,
    from: fraction,
    blocks: fc.integer({ min: 1, max: 8 }),
  }),
  fc.record({ kind: fc.constant('remove' as const) }),
)

function apply(files: Map<string, Uint8Array>, name: string, harm: Damage, usedBytes: number): void {
  const file = files.get(name)
  if (file === undefined) return
  const at = 'at' in harm ? Math.floor(harm.at * Math.min(usedBytes, file.length)) : 0
  // The newest segment is not removed: with its cut, failed frames would come back, and nothing could tell.
  if (harm.kind === 'remove' && name === [...files.keys()].sort().at(-1)) return
  if (harm.kind === 'remove') files.delete(name)
  else if (harm.kind === 'truncate') files.set(name, file.slice(0, at))
  else if (harm.kind === 'zeros') file.fill(0, at, at + harm.length)
  else if (harm.kind === 'bytes') file.set(harm.bytes.subarray(0, file.length - at), at)
  else {
    const from = Math.floor((harm.from * usedBytes) / 4096) * 4096
    file.copyWithin(at - (at % 4096), from, from + harm.blocks * 4096)
  }
}

test('however a log is damaged, what is read is a prefix of what was written', () => {
  const damages = fc.array(fc.tuple(fc.nat(), damage), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(plans, damages, (plan, harms) => {
      const { log, records, lastLsn } = build(...plan)
      const names = [...log.files.keys()]
      const { files } = log
      for (const [segment, harm] of harms) apply(files, names[segment % names.length], harm, log.offset)
      // With its first segments gone a log looks truncated: then it is read from where it begins.
      const lowest = [...files.keys()].sort()[0]
      const open = read(files, { toLsn: lastLsn })
      if (lowest === segmentName(1)) {
        const closed = read(files)
        assert.equal(closed.records, records.slice(0, closed.records.length))
        assert.ok(closed.code === undefined || closed.code === 'GROUPWAL_CORRUPT', closed.code)
        assert.equal(open.records, records.slice(0, open.records.length))
        if (open.code === undefined) assert.equal(open.records, records)
      } else if (open.records.length > 0) {
        const skipped = records.indexOf(open.records[0])
        assert.equal(open.records, records.slice(skipped, skipped + open.records.length))
        if (open.code === undefined) assert.is(skipped + open.records.length, records.length)
      }
      assert.ok(open.code === undefined || open.code === 'GROUPWAL_CORRUPT', open.code)
    }),
    parameters,
  )
})

test('garbage is never a header, never a record, and never a crash', () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    // With the right magic, garbage comes further.
    fc.uint8Array({ minLength: 512, maxLength: 2000 }).map((bytes) => {
      bytes.set(new TextEncoder().encode('GWSG'))
      return bytes
    }),
    fc.uint8Array({ minLength: 512, maxLength: 2000 }).map((bytes) => {
      bytes.set(new TextEncoder().encode('GWFR\u0001\u0000\u0000\u0000'))
      return bytes
    }),
  )
  const template = new HandmadeLog().segment().put('x')
  fc.assert(
    fc.property(garbage, fc.nat(6), (bytes, blocks) => {
      assert.not(decodeSegmentHeader(bytes).ok)
      if (bytes.length >= 128) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        assert.is(decodeFrameHeader(view, bytes), undefined)
      }
      const alone = read(new Map([[segmentName(1), bytes]]))
      assert.equal([alone.records, alone.code], [[], 'GROUPWAL_CORRUPT'])
      // Behind a good header garbage is a torn tail at most.
      const file = new Uint8Array(9 * 4096)
      file.set(template.file(1).subarray(0, 4096))
      file.set(bytes, 4096 * (1 + blocks))
      assert.equal(read(new Map([[segmentName(1), file]])), { records: [] })
    }),
    { ...parameters, numRuns: 3 * parameters.numRuns },
  )
})

test('a body of garbage under any header is found invalid, and never read beyond its end', () => {
  const header = fc.record({
    firstLsn: fc.integer({ min: 1, max: 2 ** 40 }),
    lsnCount: fc.nat(50),
    recordCount: fc.nat(50),
    bodyChecksum: fc.nat(0xffffffff),
  })
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 640 }), (fields, bytes) => {
      const body = bytes.slice(0, bytes.length - (bytes.length % 32))
      const whole = {
        flags: 0,
        segmentSequence: 1,
        offset: 4096,
        saltLow: 0,
        saltHigh: 0,
        frameSequence: 1,
        durableLsn: 0,
        wallClockMs: 0,
        previousOffset: 0,
        previousChecksum: 0,
        bodyBytes: body.length,
        ...fields,
      }
      const isEmpty = body.length + fields.recordCount + fields.lsnCount + fields.bodyChecksum === 0
      assert.is(validateBody(body, whole) === undefined, isEmpty)
    }),
    { ...parameters, numRuns: 10 * parameters.numRuns },
  )
})

test.run()
