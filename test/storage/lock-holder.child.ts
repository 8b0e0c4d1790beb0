// Locks the log in the directory of its first argument, says so, and holds the lock until it dies.

import { acquireLock } from '../../src/storage/lock-file.ts'
import { createNodeFileSystem } from '../../src/storage/node-file-system.ts'

await acquireLock(createNodeFileSystem(), process.argv[2]!)
process.send!('locked')
setInterval(() => {}, 1 << 30)
