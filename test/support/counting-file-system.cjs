// A file system for the option `fileSystem` that counts what the main thread asks of it. CommonJS, because each thread
// of a log loads it by its path.

const { isMainThread } = require('node:worker_threads')

const NAMES = ['opens', 'reads', 'bytesRead', 'writes', 'bytesWritten', 'syncs', 'lists']

/** The counts by name, from `data.counts`. */
exports.NAMES = NAMES

/** @param {{ counts: Float64Array }} data one count per name, in a SharedArrayBuffer */
exports.createFileSystem = (base, { counts }) => {
  if (!isMainThread) return base
  const count = (name, delta = 1) => {
    counts[NAMES.indexOf(name)] += delta
  }
  return {
    ...base,
    open(...args) {
      count('opens')
      return base.open(...args)
    },
    list(directory) {
      count('lists')
      return base.list(directory)
    },
    read(...args) {
      const length = base.read(...args)
      count('reads')
      count('bytesRead', length)
      return length
    },
    write(...args) {
      const length = base.write(...args)
      count('writes')
      count('bytesWritten', length)
      return length
    },
    dataSync(fd) {
      count('syncs')
      base.dataSync(fd)
    },
    fullSync(fd) {
      count('syncs')
      base.fullSync(fd)
    },
  }
}
