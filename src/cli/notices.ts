import type { Log } from '../host/log.ts'

/** Reasons to doubt the disk, on standard error. */
export function printWarnings(log: Log): void {
  const { warnings, sync } = log.environment
  for (const warning of [...warnings, ...sync.warnings]) process.stderr.write(`warning: ${warning}\n`)
}

/** What a crash had left, on standard error. */
export function printRecovery(log: Log): void {
  const { tornTail, salvagedRecords, gap } = log.recovery
  const notes: string[] = []
  if (tornTail !== undefined) {
    notes.push(`cut unacknowledged bytes behind ${tornTail.offset} in ${tornTail.segment}`)
  }
  if (salvagedRecords > 0) notes.push(`made ${salvagedRecords} records durable anew`)
  if (gap !== undefined) notes.push(`LSN ${gap.first} to ${gap.last} are never used`)
  if (notes.length > 0) process.stderr.write(`recovered after a crash: ${notes.join('; ')}\n`)
}
