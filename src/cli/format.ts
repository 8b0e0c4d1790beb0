/** `1,234,567`, rounded. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** `12.3 MiB` */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let index = 0
  let value = bytes
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024
    index++
  }
  return `${index === 0 ? value : value.toFixed(1)} ${units[index]}`
}

/** `130 us`, `1.2 ms`, `3.4 s` */
export function formatMicros(micros: number): string {
  if (micros < 1000) return `${Math.round(micros)} us`
  return micros < 1e6 ? `${(micros / 1000).toFixed(1)} ms` : `${(micros / 1e6).toFixed(1)} s`
}

/** Rows of equal width: the first column to the left, numbers to the right. The first row is the head. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
