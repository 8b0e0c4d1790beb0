import { readFileSync, writeFileSync } from 'node:fs'

/** Where Linux keeps how many KiB a request to this block device may have. */
export function requestLimit(device: string): string {
  return `/sys/block/${device}/queue/max_sectors_kb`
}

/**
 * Undoes a limit that an earlier user of the loop device set: it outlives the file behind the device, and below the
 * size of a sector nothing can be read or written.
 */
export function allowLargeRequests(device: string): void {
  const most = readFileSync(`/sys/block/${device}/queue/max_hw_sectors_kb`, 'utf8')
  writeFileSync(requestLimit(device), most)
}
