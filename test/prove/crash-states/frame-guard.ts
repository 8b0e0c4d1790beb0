import type { SimulatedFile } from '../../support/simulated-file.ts'
import { BrokenPromise } from './knowledge.ts'

const FRAME_MAGIC: Uint8Array = Buffer.from('GWFR')

interface Range {
  from: number
  to: number
}

/** Notices when a frame is overwritten with something else before its segment was retired. */
export class FrameGuard {
  readonly #frames: Map<number, Range[]> = new Map()

  /** @throws BrokenPromise */
  write(file: number, before: SimulatedFile, bytes: Uint8Array, position: number): void {
    const to = position + bytes.length
    const frames = this.#frames.get(file) ?? []
    for (const frame of frames) {
      const from = Math.max(frame.from, position)
      const length = Math.min(frame.to, to) - from
      if (length <= 0) continue
      const standing = new Uint8Array(length)
      before.read(standing, from, false)
      if (Buffer.compare(standing, bytes.subarray(from - position, from - position + length)) !== 0) {
        throw new BrokenPromise(`P4: the frame at ${frame.from} is overwritten`)
      }
    }
    if (Buffer.compare(bytes.subarray(0, FRAME_MAGIC.length), FRAME_MAGIC) !== 0) return
    if (!frames.some(({ from }) => from === position)) frames.push({ from: position, to })
    this.#frames.set(file, frames)
  }

  /** A spare holds no frame that counts. */
  rename(file: number, name: string): void {
    if (name.startsWith('spare-')) this.#frames.delete(file)
  }
}
