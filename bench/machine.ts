import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import * as os from 'node:os'
import { basename } from 'node:path'
import { inspectEnvironment } from '../src/storage/environment.ts'

/** Mount options that change what a sync costs. */
const TELLING_OPTIONS = /^(data|barrier|commit|journal_|nobarrier|discard|sync|dirsync|compress|volatile)/

/** What the figures depend on. Nothing that tells one machine of a kind from another. */
export function describeMachine(directory: string): Record<string, string | number> {
  mkdirSync(directory, { recursive: true })
  const { fsType, device, mountOptions, physicalBlockBytes } = inspectEnvironment(directory)
  const cpus = os.cpus()
  const disk = basename(device)
  return {
    cpu: cpus[0]?.model ?? 'unknown',
    cpus: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release().split('-')[0]}`,
    node: process.version,
    fileSystem: [fsType, ...mountOptions.filter((option) => TELLING_OPTIONS.test(option))].join(', '),
    disk,
    physicalBlockBytes: physicalBlockBytes ?? 'unknown',
    ioScheduler: readText(`/sys/class/block/${disk}/queue/scheduler`),
    writeCache: readText(`/sys/class/block/${disk}/queue/write_cache`),
    loadAtStart: Number(os.loadavg()[0]!.toFixed(2)),
  }
}

/** Of the code that is measured; `+` when files were changed since. */
export function describeCommit(): string {
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD')
    return git('status', '--porcelain', '--untracked-files=no', 'src', 'workers') === ''
      ? commit
      : `${commit}+`
  } catch {
    return 'unknown'
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
