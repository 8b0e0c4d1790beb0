// A file system for the option `fileSystem`: every write of a frame waits while the gate is shut. CommonJS, because
// each thread of a log loads it by its path. See gate.ts for the other side.

const FRAME_MAGIC = Buffer.from('GWFR')
const SHUT = 0
const HELD = 1
const TURNS = 2
const PASSES = 3
const FAILS = 4

/** @param {{ words: Int32Array }} data words in a SharedArrayBuffer, named above */
exports.createFileSystem = (base, { words }) => ({
  ...base,
  write(fd, bytes, offset, length, position) {
    if (isFrame(bytes, offset, length)) passGate(words)
    return base.write(fd, bytes, offset, length, position)
  },
})

function passGate(words) {
  if (Atomics.load(words, SHUT) === 1) {
    Atomics.add(words, HELD, 1)
    Atomics.notify(words, HELD)
  }
  for (;;) {
    const turn = Atomics.load(words, TURNS)
    if (Atomics.load(words, SHUT) === 0) break
    const passes = Atomics.load(words, PASSES)
    if (passes > 0 && Atomics.compareExchange(words, PASSES, passes, passes - 1) === passes) return
    Atomics.wait(words, TURNS, turn)
  }
  if (Atomics.load(words, FAILS) === 1) {
    throw Object.assign(new Error('EIO: the disk at the gate is broken'), { code: 'EIO', errno: -5 })
  }
}

function isFrame(bytes, offset, length) {
  return length >= FRAME_MAGIC.length && FRAME_MAGIC.every((byte, index) => bytes[offset + index] === byte)
}
