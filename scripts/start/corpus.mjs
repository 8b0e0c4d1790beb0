// The lines that the main job commits: those of the files that are named, or the repository's own text files.

import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'

const TEXT = new Set(['.md', '.ts', '.mjs', '.cjs', '.js', '.json', '.wat', '.sh'])
const PASSED_OVER = new Set(['node_modules', 'dist', 'data', 'coverage'])

/** @returns {string[]} paths of the text files below a folder, sorted */
export function findTextFiles(folder) {
  const found = []
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('.') && !PASSED_OVER.has(entry.name)) found.push(...findTextFiles(path))
    } else if (entry.isFile() && TEXT.has(extname(entry.name))) found.push(path)
  }
  return found.sort()
}

/**
 * @param {string[]} files
 * @returns {{ bytes: Uint8Array, ends: Uint32Array }} all lines in shared memory, one behind the other
 */
export function readCorpus(files) {
  const texts = files.map((file) => readFileSync(file))
  const lines = texts.flatMap(splitLines)
  if (lines.length === 0) throw new Error('the files hold no line')
  const size = lines.reduce((sum, line) => sum + line.length, 0)
  const bytes = new Uint8Array(new SharedArrayBuffer(size))
  const ends = new Uint32Array(new SharedArrayBuffer(lines.length * 4))
  let at = 0
  for (const [index, line] of lines.entries()) {
    bytes.set(line, at)
    at += line.length
    ends[index] = at
  }
  return { bytes, ends }
}

/** The line that a producer commits as its record number `number`: each takes every n-th line, over and over. */
export function lineOf({ bytes, ends }, producer, producerCount, number) {
  const index = (producer + number * producerCount) % ends.length
  return bytes.subarray(index === 0 ? 0 : ends[index - 1], ends[index])
}

function splitLines(text) {
  const lines = []
  let from = 0
  while (from < text.length) {
    const newline = text.indexOf(10, from)
    const end = newline < 0 ? text.length : newline
    lines.push(text.subarray(from, end))
    from = end + 1
  }
  return lines
}
