import version from 'groupwal:version'
import { Command, CommanderError } from 'commander'
import { appendCommand } from './append.ts'
import { benchCommand } from './bench.ts'
import { dumpCommand } from './dump.ts'
import { EXIT_CODE_HELP, EXIT_OK, EXIT_USAGE } from './exit-code.ts'
import { stressCommand, stressHostCommand } from './stress.ts'

// Whoever reads only the beginning (`groupwal dump … | head`) ends the command, without any complaint.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_OK)
  throw error
})

const finish = (exitCode: number): void => {
  process.exitCode = exitCode
}

const program = new Command('groupwal')
  .description('A durable, multi-writer write-ahead log.')
  .version(version)
  .addHelpText('after', EXIT_CODE_HELP)
  .showHelpAfterError('(add --help for the options)')
  .exitOverride()

for (const command of [appendCommand, dumpCommand, benchCommand, stressCommand]) {
  program.addCommand(command(finish).exitOverride().copyInheritedSettings(program))
}
program.addCommand(stressHostCommand(finish), { hidden: true })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Help and version were asked for and printed; anything else is a wrong command line.
  const isAnswer = error.code === 'commander.helpDisplayed' || error.code === 'commander.version'
  process.exitCode = isAnswer ? EXIT_OK : EXIT_USAGE
}
