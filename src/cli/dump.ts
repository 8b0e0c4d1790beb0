import { once } from 'node:events'
import { Command } from 'commander'
import { readRecords } from '../read/reader.ts'
import { loadFileSystem } from '../storage/load-file-system.ts'
import { integer } from './arguments.ts'
import { EXIT_OK, reportError } from './exit-code.ts'
import { recordToJson } from './record-json.ts'

/** Lines are written in pieces of about this size. */
const PIECE_CHARACTERS = 64 * 1024

interface DumpArguments {
  from?: number
  limit?: number
  json?: true
}

/** `groupwal dump` */
export function dumpCommand(finish: (exitCode: number) => void): Command {
  return new Command('dump')
    .description(
      'Print the records of a log, one JSON object per line. Only reads; the log need not be closed.',
    )
    .argument('<dir>', 'directory of the log')
    .option('--from <lsn>', 'first LSN to print; by default the oldest that is there', integer(1))
    .option('--limit <n>', 'how many records to print at most', integer(0))
    .option('--json', 'report errors as JSON, too')
    .action(async (directory: string, given: DumpArguments) => {
      finish(await runDump(directory, given))
    })
}

async function runDump(directory: string, given: DumpArguments): Promise<number> {
  const { limit = Number.POSITIVE_INFINITY, from } = given
  let piece = ''
  let count = 0
  try {
    // readRecords finds nothing in a directory that is not there; whoever names one wants to know.
    const fs = loadFileSystem()
    fs.list(directory)
    if (limit > 0) {
      for (const record of readRecords(fs, directory, { fromLsn: from })) {
        piece += `${recordToJson(record)}\n`
        if (piece.length >= PIECE_CHARACTERS) {
          if (!process.stdout.write(piece)) await once(process.stdout, 'drain')
          piece = ''
        }
        count++
        if (count >= limit) break
      }
    }
    process.stdout.write(piece)
    return EXIT_OK
  } catch (error) {
    // What stands before the damage is printed all the same.
    process.stdout.write(piece)
    return reportError(error, given.json === true)
  }
}
