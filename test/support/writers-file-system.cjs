// A file system for the option `fileSystem` that counts the writes of each thread. CommonJS, because each thread of a
// log loads it by its path.

const { threadId } = require('node:worker_threads')

/** @param {{ writes: Int32Array }} data by threadId, in a SharedArrayBuffer */
exports.createFileSystem = (base, { writes }) => ({
  ...base,
  write(...args) {
    Atomics.add(writes, threadId, 1)
    return base.write(...args)
  },
})
