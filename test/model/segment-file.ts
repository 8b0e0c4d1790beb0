// Stands in for src/storage/segment-file.ts and src/storage/zero-writer.ts in the explored build: beginning, filling
// and publishing a segment is one operation of the model's disk (disk.ts) each. That a real one is whole or not
// there whatever crash comes in the midst of it is shown by test/storage and test/recovery.

import type { FileSystem } from '../../src/storage/file-system.ts'
import type { PreparedSegment, SegmentSpec } from '../../src/storage/segment-file.ts'
import type { NextSegment } from './segments.ts'

/** What the file system of the model does beside those calls. */
export interface SegmentCalls {
  beginSegment(sequence: number): void
  fillSegment(): void
  publishSegment(next: NextSegment): PreparedSegment
  abandonSegment(): void
  writeZeros(path: string, from: number, to: number): void
}

export class SegmentBuilder {
  private readonly fs: SegmentCalls
  private readonly spec: SegmentSpec
  filledTo: number

  constructor(fs: SegmentCalls, spec: SegmentSpec) {
    this.fs = fs
    this.spec = spec
    this.filledTo = 0
  }

  static begin(fs: FileSystem, _directory: string, spec: SegmentSpec): SegmentBuilder {
    const calls = fs as unknown as SegmentCalls
    const builder = new SegmentBuilder(calls, spec)
    builder.create()
    return builder
  }

  private create(): void {
    this.fs.beginSegment(this.spec.sequence)
  }

  fillBy(_zeroWriter: ZeroWriter, to: number): void {
    this.fs.fillSegment()
    this.filledTo = Math.min(to, this.spec.segmentBytes)
  }

  publish(): PreparedSegment {
    return this.fs.publishSegment(this.spec)
  }

  abandon(): void {
    this.fs.abandonSegment()
  }
}

export class ZeroWriter {
  private readonly fs: SegmentCalls

  constructor(fs: FileSystem) {
    this.fs = fs as unknown as SegmentCalls
  }

  writeZeros(path: string, from: number, to: number): void {
    this.fs.writeZeros(path, from, to)
  }
}
