// The module for the option `fileSystem: { module, data }`: the real file system, in which every change of the disk is
// noted in shared memory, in the order in which the threads of the log made them. What takes time (writes, syncs) is
// noted when it begins and when it has ended: a crash in between may leave any part of it. A test can also make one
// write or sync of a frame fail, and have writes of frames overlap. See trace.ts for the other side.

const { constants, fstatSync } = require('node:fs')
const { threadId } = require('node:worker_threads')

// Kinds of events; the numbers of each in brackets, then what its bytes are.
const EVENTS = {
  makeDirectory: 1, // path
  open: 2, // [fd, flags], path
  writeBegin: 3, // [fd, position, length, 1 when all is zero], the bytes unless they are zero
  writeEnd: 4, // [1 when it returned the length]
  syncBegin: 5, // [fd]
  syncEnd: 6, // [1 when it returned without error]
  truncate: 7, // [fd, length]
  rename: 8, // from, a zero byte, to
  unlink: 9, // path
  syncDirectoryBegin: 10, // path
  syncDirectoryEnd: 11,
  fault: 12,
}

/** Words of `control`. */
const WORDS = { failIn: 0, failHow: 1, overlaps: 2, begun: 3, ended: 4, errorFile: 5, errorCount: 6 }
const FAIL_WRITE = 1
const FAIL_SHORT = 2
const FAIL_WRITTEN = 3
const FAIL_SYNC = 4
const OVERLAP_WAIT_MS = 3

const FRAME_MAGIC = Buffer.from('GWFR')
const HEADER_NUMBERS = 4

exports.EVENTS = EVENTS
exports.WORDS = WORDS
exports.FAIL = { write: FAIL_WRITE, short: FAIL_SHORT, written: FAIL_WRITTEN, sync: FAIL_SYNC }
exports.appendEvent = appendEvent
exports.readEvents = readEvents
exports.createFileSystem = (base, data) => new RecordingFileSystem(base, data)

/** Appends one event to a trace: { cursor: Int32Array of one word, numbers: Float64Array }, both shared. */
function appendEvent(trace, kind, numbers, bytes) {
  const byteCount = bytes === undefined ? 0 : bytes.length
  const length = HEADER_NUMBERS + numbers.length + Math.ceil(byteCount / 8)
  // The order of the events is that of this addition.
  const at = Atomics.add(trace.cursor, 0, length)
  const target = trace.numbers
  if (at + length > target.length) throw new Error('the trace is full')
  target[at] = length
  target[at + 1] = kind
  target[at + 2] = threadId
  target[at + 3] = byteCount
  for (let index = 0; index < numbers.length; index++) target[at + HEADER_NUMBERS + index] = numbers[index]
  if (byteCount === 0) return
  const byteOffset = 8 * (at + HEADER_NUMBERS + numbers.length)
  new Uint8Array(target.buffer, target.byteOffset + byteOffset, byteCount).set(bytes)
}

/** Calls `visit` with each event of a finished trace. */
function readEvents(numbers, visit) {
  for (let at = 0; at < numbers.length; at += numbers[at]) {
    const length = numbers[at]
    if (!(length >= HEADER_NUMBERS)) throw new Error(`the trace is damaged at number ${at}`)
    const byteCount = numbers[at + 3]
    const bytesAt = at + length - Math.ceil(byteCount / 8)
    visit({
      kind: numbers[at + 1],
      thread: numbers[at + 2],
      numbers: numbers.subarray(at + HEADER_NUMBERS, bytesAt),
      bytes: new Uint8Array(numbers.buffer, numbers.byteOffset + 8 * bytesAt, byteCount),
    })
  }
}

class RecordingFileSystem {
  constructor(base, data) {
    this.base = base
    this.trace = { cursor: new Int32Array(data.cursor), numbers: new Float64Array(data.numbers) }
    this.words = new Int32Array(data.control)
    /** The fds of this thread to which a frame was written last. */
    this.frameFds = new Set()
    /** What its open files are, and how many failed syncs had happened when they were opened or told of one. */
    this.files = new Map()
    for (const name of ['close', 'read', 'fileSize', 'linkCount', 'list']) {
      this[name] = (...args) => base[name](...args)
    }
  }

  open(path, flags, mode) {
    const fd = this.base.open(path, flags, mode)
    this.note(EVENTS.open, [fd, flags], path)
    this.frameFds.delete(fd)
    this.files.set(fd, {
      file: Number(BigInt.asIntN(32, fstatSync(fd, { bigint: true }).ino)),
      isDirect: (flags & constants.O_DIRECT) !== 0,
      errorCount: Atomics.load(this.words, WORDS.errorCount),
    })
    return fd
  }

  write(fd, bytes, offset, length, position) {
    const written = bytes.subarray(offset, offset + length)
    const isFrame = FRAME_MAGIC.compare(written, 0, FRAME_MAGIC.length) === 0
    if (isFrame) this.frameFds.add(fd)
    else this.frameFds.delete(fd)
    const isZero = written.every((byte) => byte === 0)
    this.note(EVENTS.writeBegin, [fd, position, length, isZero ? 1 : 0], isZero ? undefined : written)
    const failHow = isFrame ? this.countDown(false) : 0
    const turn = isFrame ? this.beginOverlap() : 0
    const count = failHow === FAIL_SHORT ? length - 512 : length
    if (failHow !== FAIL_WRITE) this.base.write(fd, bytes, offset, count, position)
    if (isFrame) this.endOverlap(turn)
    this.note(EVENTS.writeEnd, [failHow === 0 ? 1 : 0])
    if (failHow === FAIL_WRITE || failHow === FAIL_WRITTEN) throw failure('write')
    return count
  }

  dataSync(fd) {
    this.sync(fd, () => this.base.dataSync(fd))
  }

  fullSync(fd) {
    this.sync(fd, () => this.base.fullSync(fd))
  }

  sync(fd, call) {
    this.note(EVENTS.syncBegin, [fd])
    const isToFail = this.frameFds.has(fd) && this.countDown(true) !== 0
    if (isToFail) this.tellOthers(this.files.get(fd))
    else call()
    const isOk = !isToFail && !this.wasTold(this.files.get(fd))
    this.note(EVENTS.syncEnd, [isOk ? 1 : 0])
    if (!isOk) throw failure('sync')
  }

  /** As Linux does: all who have the file open are told of a write-back error, each once. */
  tellOthers(open) {
    // What went past the page cache is not lost by a flush that failed: the next one flushes it.
    if (open.isDirect) return
    Atomics.store(this.words, WORDS.errorFile, open.file)
    open.errorCount = Atomics.add(this.words, WORDS.errorCount, 1) + 1
  }

  wasTold(open) {
    const errorCount = Atomics.load(this.words, WORDS.errorCount)
    const isNew = errorCount !== open.errorCount && Atomics.load(this.words, WORDS.errorFile) === open.file
    open.errorCount = errorCount
    return isNew
  }

  truncate(fd, length) {
    this.note(EVENTS.truncate, [fd, length])
    this.base.truncate(fd, length)
  }

  rename(from, to) {
    this.note(EVENTS.rename, [], `${from}\0${to}`)
    this.base.rename(from, to)
  }

  unlink(path) {
    this.note(EVENTS.unlink, [], path)
    this.base.unlink(path)
  }

  makeDirectory(path, mode) {
    this.base.makeDirectory(path, mode)
    this.note(EVENTS.makeDirectory, [], path)
  }

  syncDirectory(path) {
    this.note(EVENTS.syncDirectoryBegin, [], path)
    this.base.syncDirectory(path)
    this.note(EVENTS.syncDirectoryEnd, [])
  }

  note(kind, numbers, content) {
    appendEvent(this.trace, kind, numbers, typeof content === 'string' ? Buffer.from(content) : content)
  }

  /** How this call fails, 0 when it does not. */
  countDown(isSync) {
    const how = Atomics.load(this.words, WORDS.failHow)
    if (how === 0 || (how === FAIL_SYNC) !== isSync) return 0
    if (Atomics.sub(this.words, WORDS.failIn, 1) !== 1) return 0
    Atomics.store(this.words, WORDS.failHow, 0)
    this.note(EVENTS.fault, [])
    return how
  }

  /** Every second write of a frame waits a moment for another one to begin. */
  beginOverlap() {
    if (Atomics.load(this.words, WORDS.overlaps) === 0) return 0
    const turn = Atomics.add(this.words, WORDS.begun, 1) + 1
    Atomics.notify(this.words, WORDS.begun)
    if (turn % 2 === 1) Atomics.wait(this.words, WORDS.begun, turn, OVERLAP_WAIT_MS)
    return turn
  }

  /** Every second pair ends in the other order. */
  endOverlap(turn) {
    if (turn === 0) return
    const ended = Atomics.load(this.words, WORDS.ended)
    if (turn % 4 === 1 && Atomics.load(this.words, WORDS.begun) > turn) {
      Atomics.wait(this.words, WORDS.ended, ended, OVERLAP_WAIT_MS)
    }
    Atomics.add(this.words, WORDS.ended, 1)
    Atomics.notify(this.words, WORDS.ended)
  }
}

function failure(call) {
  return Object.assign(new Error(`EIO: injected, ${call}`), { code: 'EIO', errno: -5, syscall: call })
}
