import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Arena } from './arena.ts'
import { spreadOf } from './measure.ts'
import { PEERS } from './peer-list.ts'
import { peerVersion } from './subjects/peer-package.ts'
import { type Interval, readIntervals } from './trace.ts'
import type { PeerVerdict, SubjectOptions, SyncMethodName } from './types.ts'

const COMMITS = 50
const MIB = 1024 * 1024

/**
 * Watches the system calls of each peer while it commits one record after the other: between the call and its
 * acknowledgement a sync must have returned, each time.
 */
export async function verifyPeers(
  directory: string,
  names: readonly string[],
): Promise<Record<string, PeerVerdict>> {
  const verdicts: Record<string, PeerVerdict> = {}
  const hasStrace = spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0
  for (const { subject, packageName } of PEERS) {
    if (!names.includes(subject)) continue
    const version = packageName === undefined ? process.version : peerVersion(packageName)
    if (version === undefined) {
      verdicts[subject] = { version: '-', durable: false, syncsPerCommit: undefined, note: 'not installed' }
    } else if (!hasStrace) {
      verdicts[subject] = {
        version,
        durable: true,
        syncsPerCommit: undefined,
        note: 'not verified: no strace here',
      }
    } else {
      verdicts[subject] = await verify(directory, subject, version)
    }
  }
  return verdicts
}

/** The same for any subject, also groupwal. */
export async function verify(
  directory: string,
  subject: string,
  version: string,
  syncMethod: SyncMethodName = 'dsync',
): Promise<PeerVerdict> {
  mkdirSync(directory, { recursive: true })
  const tracePath = join(directory, `trace-${subject}-${process.pid}`)
  const calls =
    'open,openat,close,dup,fsync,fdatasync,msync,write,writev,pwrite64,pwritev,pwritev2,access,stat,statx'
  const wrapper = ['strace', '-f', '-o', tracePath, '-s', '64', '-e', `trace=${calls}`]
  const arena = new Arena(directory, wrapper)
  const options: SubjectOptions = {
    directory: arena.directory,
    syncMethod,
    threads: 1,
    writeBytes: 4096,
    segmentBytes: 64 * MIB,
    ringBytes: 8 * MIB,
    maxBatchBytes: MIB,
    stagingSlots: 1,
    truncateEveryMs: 0,
  }
  try {
    await arena.task('probePeer', { subject, commits: COMMITS, options })
    await arena.close()
    return judge(readIntervals(readFileSync(tracePath, 'utf8')), version)
  } catch (error) {
    return {
      version,
      durable: false,
      syncsPerCommit: undefined,
      note: `does not run: ${(error as Error).message}`,
    }
  } finally {
    await arena.close()
    rmSync(tracePath, { force: true })
  }
}

function judge(intervals: readonly Interval[], version: string): PeerVerdict {
  const commits = intervals.length
  if (commits < COMMITS) {
    return {
      version,
      durable: false,
      syncsPerCommit: undefined,
      note: `the trace shows ${commits} of ${COMMITS} commits`,
    }
  }
  // The median: what other threads do meanwhile (filling segments, compaction) may fall into some of the intervals.
  const syncsPerCommit = spreadOf(intervals.map(({ before }) => before)).median
  const unsynced = intervals.filter(({ before }) => before === 0)
  if (unsynced.length === 0) {
    return { version, durable: true, syncsPerCommit, note: 'a sync returned before each acknowledgement' }
  }
  const later = unsynced.filter(({ after }) => after > 0).length
  return {
    version,
    durable: false,
    syncsPerCommit,
    note: `${unsynced.length} of ${commits} acknowledged before a sync (${later} synced afterwards)`,
  }
}
