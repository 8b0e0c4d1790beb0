// A file system for the option `fileSystem` that notes every write and sync of a segment, in all threads, with its place
// in time and its outcome, for trace.ts. CommonJS, because each thread of a log loads it by its path.

/** @param {{ words: Int32Array, layout: object }} data words on a SharedArrayBuffer, and where in them things are */
exports.createFileSystem = (base, { words, layout }) => {
  /** Segment sequences by fd of this thread. */
  const segments = new Map()
  const tick = () => Atomics.add(words, layout.clock, 1)

  /** Outcome: 0 for success, an errno, or -1 for a short write. */
  const trace = (isSync, fd, block, call, length) => {
    const segment = segments.get(fd)
    if (segment === undefined) return call()
    const at = layout.firstCall + Atomics.add(words, layout.count, 1) * layout.callWords
    if (at + layout.callWords > words.length) throw new Error('the trace is full')
    words.set([isSync ? 1 : 0, segment, block, tick()], at)
    let outcome = 0
    try {
      const result = call()
      if (length !== undefined && result !== length) outcome = -1
      return result
    } catch (error) {
      outcome = Math.abs(error.errno)
      throw error
    } finally {
      words[at + 4] = tick()
      words[at + 5] = outcome
    }
  }

  return {
    ...base,
    open(path, flags, mode) {
      const fd = base.open(path, flags, mode)
      const match = /wal-(\d+)\.seg$/.exec(path)
      if (match === null) segments.delete(fd)
      else segments.set(fd, Number(match[1]))
      return fd
    },
    close(fd) {
      segments.delete(fd)
      base.close(fd)
    },
    write(fd, bytes, offset, length, position) {
      const write = () => base.write(fd, bytes, offset, length, position)
      return trace(false, fd, position / 4096, write, length)
    },
    dataSync: (fd) => trace(true, fd, 0, () => base.dataSync(fd)),
    fullSync: (fd) => trace(true, fd, 0, () => base.fullSync(fd)),
  }
}
