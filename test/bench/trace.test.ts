import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readIntervals } from '../../bench/trace.ts'

function mark(name: string): string {
  return `7 statx(AT_FDCWD, "/groupwal-bench-mark/${name}", 0, 0, 0x7f) = -1 ENOENT (No such file or directory)`
}

test('a sync that returned between call and acknowledgement counts for that commit', () => {
  const trace = [mark('ask-0'), '8 fdatasync(12) = 0', mark('ack-0')].join('\n')
  assert.equal(readIntervals(trace), [{ before: 1, after: 0 }])
})

test('a sync that begins before the acknowledgement and returns after it does not count', () => {
  const trace = [
    mark('ask-0'),
    '8 fdatasync(12 <unfinished ...>',
    mark('ack-0'),
    '8 <... fdatasync resumed>) = 0',
  ].join('\n')
  assert.equal(readIntervals(trace), [{ before: 0, after: 1 }])
})

test('a failed sync, and an msync without MS_SYNC, do not count', () => {
  const trace = [
    mark('ask-0'),
    '8 fsync(12) = -1 EIO (Input/output error)',
    '8 msync(0x7f0000000000, 4096, MS_ASYNC) = 0',
    mark('ack-0'),
  ].join('\n')
  assert.equal(readIntervals(trace), [{ before: 0, after: 0 }])
})

test('a write counts when its file was opened with O_DSYNC, until that descriptor is reused', () => {
  const trace = [
    '8 openat(AT_FDCWD, "data", O_RDWR|O_DSYNC|O_CLOEXEC, 0666) = 12',
    mark('ask-0'),
    '8 pwrite64(12, "x", 4096, 0) = 4096',
    '8 pwrite64(13, "x", 4096, 0) = 4096',
    mark('ack-0'),
    '8 close(12) = 0',
    '8 openat(AT_FDCWD, "other", O_RDWR|O_CLOEXEC) = 12',
    mark('ask-1'),
    '8 pwrite64(12, "x", 4096, 0) = 4096',
    mark('ack-1'),
  ].join('\n')
  assert.equal(readIntervals(trace), [
    { before: 1, after: 0 },
    { before: 0, after: 0 },
  ])
})

test('the warm-up is no commit', () => {
  const trace = [mark('ask--1'), '8 fsync(12) = 0', mark('ack--1'), mark('ask-0'), mark('ack-0')].join('\n')
  assert.equal(readIntervals(trace), [{ before: 0, after: 0 }])
})

test.run()
