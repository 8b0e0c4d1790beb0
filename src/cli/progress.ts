const INTERVAL_MS = 200

/** One line that is written over and over, on standard error and only when that is a terminal. */
export class Progress {
  private readonly timer: NodeJS.Timeout | undefined
  private readonly describe: () => string

  /** @param describe called a few times per second */
  constructor(describe: () => string) {
    this.describe = describe
    if (!process.stderr.isTTY) return
    this.timer = setInterval(() => this.draw(), INTERVAL_MS)
    this.timer.unref()
  }

  private draw(): void {
    const columns = process.stderr.columns || 80
    process.stderr.write(`\r\x1b[K${this.describe().slice(0, columns - 1)}`)
  }

  /** Removes the line. */
  end(): void {
    if (this.timer === undefined) return
    clearInterval(this.timer)
    process.stderr.write('\r\x1b[K')
  }
}
