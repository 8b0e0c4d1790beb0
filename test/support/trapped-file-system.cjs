// The module for the option `fileSystem`: the real file system, each call of which is a step of the traps that its
// thread has. `data.traps` names internal workers that are to be trapped, and by what: internal-threads.ts tells them.

const traps = require('./step-traps.cjs')

exports.createFileSystem = (base) => {
  const { installed } = traps
  if (installed === undefined) return base
  const trapped = {}
  for (const [name, call] of Object.entries(base)) {
    trapped[name] = (...args) => {
      installed.step('file')
      const result = call(...args)
      installed.step('fileDone')
      return result
    }
  }
  return trapped
}
