import type { Mutant } from './mutant.ts'

const PRODUCER = 'src/host/producer.ts'

/** The defects of the original, put back into our code. Each must be noticed by the test that is named after it. */
export const DEFECTS_OF_THE_ORIGINAL: readonly Mutant[] = [
  {
    name: '(a) commitSync returns the durable LSN of the log',
    promise: 'P2',
    edits: [
      {
        file: PRODUCER,
        find: '    return { lsn, durable: true }',
        replace: '    return { lsn: this.durableLsn, durable: true }',
      },
    ],
    killedBy: { file: 'test/regression/defect-a.test.ts', test: 'threads that share a batch' },
  },
  {
    name: '(a) a promise is resolved with the last LSN of its batch',
    promise: 'P2',
    edits: [
      {
        file: 'src/host/unsettled.ts',
        find: '        resolveEntry(entry)\n        this.settledCount++',
        replace:
          '        entry.lastLsn = durableLsn\n        resolveEntry(entry)\n        this.settledCount++',
      },
    ],
    killedBy: { file: 'test/regression/defect-a.test.ts', test: 'promises that share a batch' },
  },
  {
    name: '(b) a verdict is read from the durable LSN alone, which the next batch moves',
    promise: 'P5',
    edits: [
      {
        file: 'src/shared/phase.ts',
        find: '      if (ranged !== VERDICT_PENDING) return ranged\n',
        replace: '',
      },
    ],
    killedBy: { file: 'test/regression/defect-b.test.ts', test: 'a late follower of a failed batch' },
  },
  {
    name: '(b) a verdict is read from the shared flag',
    promise: 'P5',
    edits: [
      {
        file: PRODUCER,
        find: '    if (verdict !== VERDICT_DURABLE) throw verdictError(verdict, toldLsn, phases)',
        replace: '    if (this.lastCommitFailed) throw verdictError(verdict, toldLsn, phases)',
      },
    ],
    killedBy: { file: 'test/regression/defect-b.test.ts', test: 'a late follower of a durable batch' },
  },
  {
    name: '(c) an oversized record is told Ok',
    promise: 'P6',
    edits: [
      {
        file: PRODUCER,
        find: '    const current = this.#reader.readRecord(record)\n    this.#placer.enterBlocking()',
        replace: `    let current: EncodableRecord
    try {
      current = this.#reader.readRecord(record)
    } catch {
      return { lsn: this.durableLsn, durable: true }
    }
    this.#placer.enterBlocking()`,
      },
    ],
    killedBy: { file: 'test/regression/defect-c.test.ts', test: 'an oversized record is refused' },
  },
  {
    name: '(c) an error while appending sets no flag, and the batch counts as written',
    promise: 'P6',
    edits: [
      {
        file: 'src/commit/segment-writer.ts',
        find: "    if (written !== length) return this.fail('write', undefined)",
        replace: '',
      },
    ],
    killedBy: { file: 'test/regression/defect-c.test.ts', test: 'a batch that could not be appended' },
  },
  {
    name: '(d) a failed commit is told the durable LSN, which is 0',
    promise: 'P2',
    edits: [
      {
        file: PRODUCER,
        find: '    this.#awaitDurable(lsn, lsn, deadlineMs)\n    return { lsn, durable: true }',
        replace: `    try {
      this.#awaitDurable(lsn, lsn, deadlineMs)
    } catch {
      return { lsn: this.durableLsn, durable: true }
    }
    return { lsn, durable: true }`,
      },
    ],
    killedBy: { file: 'test/regression/defect-d.test.ts', test: 'the very first commit fails' },
  },
  {
    name: '(e) a reader looks for the next batch right behind the last byte',
    promise: 'P3',
    edits: [
      {
        file: 'src/recovery/scan.ts',
        find: 'const endOffset = this.offset + frameBytes(header.bodyBytes, this.#place.blockBytes)',
        replace: 'const endOffset = this.offset + FRAME_HEADER_BYTES + header.bodyBytes',
      },
    ],
    killedBy: { file: 'test/regression/defect-e.test.ts', test: 'every batch is readable' },
  },
  {
    name: '(e) padding holds what an earlier batch left',
    promise: 'P3',
    edits: [
      {
        file: 'src/commit/leader.ts',
        find: 'context.memory.words.fill(0, (at + FRAME_HEADER_BYTES + bodyBytes) >>> 2, (at + length) >>> 2)',
        replace: '',
      },
    ],
    killedBy: { file: 'test/regression/defect-e.test.ts', test: 'padding holds zeros' },
  },
  {
    name: '(e) after a crash LSNs go on behind the last one that is on the disk',
    promise: 'P3',
    edits: [
      {
        file: 'src/recovery/new-segment.ts',
        find: 'isOrderly ? promised : promised + maxOutstandingRecords',
        replace: 'isOrderly ? promised : promised + maxOutstandingRecords * 0',
      },
    ],
    killedBy: { file: 'test/regression/defect-e.test.ts', test: 'an LSN that was handed out' },
  },
  {
    name: '(f) a failed sync is tried again',
    promise: 'P6',
    edits: [
      {
        file: 'src/commit/segment-writer.ts',
        find: "      return this.fail('sync', error)",
        replace: '      this.fs.dataSync(this.fd)\n      return true',
      },
    ],
    killedBy: {
      file: 'test/regression/defect-f.test.ts',
      test: 'after a failed sync nothing is acknowledged',
    },
  },
  {
    name: '(f) a failed sync fails its batch only, and the next one goes on in the same file',
    promise: 'P6',
    edits: [
      {
        file: 'src/commit/poison.ts',
        find: '      if (!phases.changePhase(word, PHASE_POISONED)) continue\n',
        replace:
          '      if (phases.changePhase(word, PHASE_POISONED)) phases.changePhase(phases.phaseWord(), 0)\n',
      },
    ],
    killedBy: {
      file: 'test/regression/defect-f.test.ts',
      test: 'after a failed sync nothing is acknowledged',
      endsFile: true,
    },
  },
  {
    name: '(g) the newest segment counts as the end of the log, though no frame stands in it',
    promise: 'P12',
    edits: [
      {
        file: 'src/recovery/sealed.ts',
        find: '    if (firstFrame(fs, files, opener, index) !== undefined) break\n',
        replace: '    break\n',
      },
    ],
    killedBy: { file: 'test/regression/defect-g.test.ts', test: 'a crash just after a change of segments' },
  },
  {
    name: '(g) damage in an older segment is passed over',
    promise: 'P12',
    edits: [
      {
        file: 'src/recovery/scan.ts',
        find: 'const fault = validateBody(body, header)',
        replace: 'const fault = [validateBody(body, header)].at(1)',
      },
    ],
    killedBy: { file: 'test/regression/defect-g.test.ts', test: 'damage in an older segment' },
  },
  {
    name: '(g) a torn tail is not cut',
    promise: 'P12',
    edits: [
      {
        file: 'src/recovery/new-segment.ts',
        find: ': { segment: kept.segment, offset: kept.endOffset }',
        replace: ': { segment: kept.segment, offset: kept.endOffset + 2 * header.blockBytes }',
      },
    ],
    killedBy: { file: 'test/regression/defect-g.test.ts', test: 'a torn tail is cut and told' },
  },
  {
    name: '(g) an unknown record ends the log',
    promise: 'P12',
    edits: [
      {
        file: 'src/format/record.ts',
        find: '    const isRange = isNoop(view',
        replace: `    const type = view.getUint16(offset + RECORD_TYPE_OFFSET, true)
    if (isReservedRecordType(type) && !isNoop(type)) return 'an unknown type'
    const isRange = isNoop(view`,
      },
    ],
    killedBy: { file: 'test/regression/defect-g.test.ts', test: 'an unknown record at the end' },
  },
]
