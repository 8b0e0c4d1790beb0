import { EXIT_OK } from './exit-code.ts'

/** SIGINT and SIGTERM while a command is at work, which then ends in order. The same signal once more ends it at once. */
export class Interrupt {
  /** EXIT_OK as long as no signal came. */
  exitCode: number
  private readonly onSignal: (signal: NodeJS.Signals) => void

  /** @param stop called when a signal comes */
  constructor(stop: () => void) {
    this.exitCode = EXIT_OK
    this.onSignal = (signal) => {
      this.exitCode = signal === 'SIGINT' ? 130 : 143
      stop()
    }
    process.once('SIGINT', this.onSignal).once('SIGTERM', this.onSignal)
  }

  /** From here on a signal ends the process at once. */
  end(): void {
    process.off('SIGINT', this.onSignal).off('SIGTERM', this.onSignal)
  }
}
