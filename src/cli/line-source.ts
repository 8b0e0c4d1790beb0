import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

/** Whole lines of one source. */
export interface LineChunk {
  /** From 0, of all sources together. */
  chunkIndex: number
  source: string
  /** Number of its first line, from 1. */
  firstLine: number
  /** Lines with their ends; only the last chunk of a source may lack the last one. Owns its memory. */
  bytes: Uint8Array
}

const CHUNK_BYTES = 64 * 1024
const NEWLINE = 0x0a
const RETURN = 0x0d

/** Fails before anything is read when a file is missing or a directory. */
export async function checkFiles(files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (file === '-') continue
    if ((await stat(file)).isDirectory()) {
      throw Object.assign(new Error(`${file} is a directory`), { code: 'EISDIR' })
    }
  }
}

/** The lines of the files, one file after the other; `-` is standard input, and so is no file at all. */
export async function* readChunks(files: readonly string[]): AsyncGenerator<LineChunk> {
  let chunkIndex = 0
  for (const file of files.length === 0 ? ['-'] : files) {
    const stream = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: CHUNK_BYTES })
    const source = file === '-' ? 'standard input' : file
    for await (const lines of chunksOf(stream as AsyncIterable<Buffer>)) {
      yield { chunkIndex: chunkIndex++, source, ...lines }
    }
  }
}

/** Cuts a stream at line ends. */
async function* chunksOf(
  stream: AsyncIterable<Buffer>,
): AsyncGenerator<Pick<LineChunk, 'firstLine' | 'bytes'>> {
  let firstLine = 1
  let rest: Buffer[] = []
  for await (const piece of stream) {
    const end = piece.lastIndexOf(NEWLINE) + 1
    if (end === 0) {
      rest.push(piece)
      continue
    }
    const bytes = join([...rest, piece.subarray(0, end)])
    rest = end < piece.length ? [piece.subarray(end)] : []
    // Counted now: whoever takes the chunk may send its memory to another thread.
    const lines = countNewlines(bytes)
    yield { firstLine, bytes }
    firstLine += lines
  }
  if (rest.length > 0) yield { firstLine, bytes: join(rest) }
}

/** The lines in a chunk, without their ends (`\n` or `\r\n`), as views of its bytes. */
export function* linesOf(bytes: Uint8Array): Generator<Uint8Array> {
  let from = 0
  while (from < bytes.length) {
    let end = bytes.indexOf(NEWLINE, from)
    const next = end < 0 ? bytes.length : end + 1
    if (end < 0) end = bytes.length
    yield bytes.subarray(from, end > from && bytes[end - 1] === RETURN ? end - 1 : end)
    from = next
  }
}

/** Copies, so that the memory can be handed over to another thread. */
function join(pieces: readonly Buffer[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

function countNewlines(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}
