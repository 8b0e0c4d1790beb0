// What a run of the proof leaves for docs/verification.md: docs/verification.json.

import { spawnSync } from 'node:child_process'
import { cpus, release } from 'node:os'
import { projectDir } from './esbuild-plugin.mjs'

/** Where and upon what the proof was run. */
export function describeMachine() {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: output('git', 'rev-parse', '--short', 'HEAD'),
    // What is not in that commit yet.
    isModified: output('git', 'status', '--porcelain', 'src', 'workers', 'test') !== '',
    node: process.version,
    kernel: `${process.platform} ${release().split('-')[0]}`,
    processors: `${cpus().length} x ${cpus()[0]?.model.trim()}`,
    fileSystem: output('findmnt', '-n', '-o', 'FSTYPE', '-T', projectDir),
  }
}

/**
 * Puts the parts that ran now in the place of their former results; those of parts that no longer exist are dropped.
 *
 * @param {{ parts: object[] } | undefined} before
 * @param {{ name: string, report: object, seconds: number }[]} results
 * @param {'ci' | 'full'} size
 */
export function mergeResults(before, results, size, machine, table) {
  const rows = new Map(before?.parts.map((row) => [row.part, row]))
  for (const { name, report, seconds } of results) rows.set(name, { ...report, size, seconds, machine })
  return { parts: table.map(({ name }) => rows.get(name)).filter((row) => row !== undefined) }
}

function output(program, ...args) {
  const { status, stdout } = spawnSync(program, args, { cwd: projectDir, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : 'unknown'
}
