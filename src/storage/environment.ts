import * as fs from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { MAX_BLOCK_BYTES, MIN_BLOCK_BYTES } from '../format/segment-header.ts'

/** What the operating system says about the disk beneath a directory. */
export interface DiskEnvironment {
  /** `ext4`, `xfs`, …; `unknown` where mountinfo is not to be had. */
  fsType: string
  /** What is mounted, for example `/dev/vda`. */
  device: string
  mountPoint: string
  /** Options of the mount and of the file system. */
  mountOptions: string[]
  physicalBlockBytes: number | undefined
  /** The block a new log should have here. */
  blockBytes: number
  /** Reasons to doubt that a commit survives a power cut, or that its cost is steady. */
  warnings: string[]
}

/** Where the facts come from; tests bring their own. */
export interface EnvironmentSource {
  /** Content of a text file, undefined when it cannot be read. */
  readText(path: string): string | undefined
  /** Without symbolic links, undefined when it does not exist. */
  realPath(path: string): string | undefined
}

interface Mount {
  majorMinor: string
  mountPoint: string
  fsType: string
  device: string
  options: string[]
}

const NETWORK_TYPES: ReadonlySet<string> = new Set(
  'nfs nfs4 cifs smb3 smbfs 9p ceph glusterfs afs lustre gfs2 ocfs2 beegfs virtiofs fuse.sshfs'.split(' '),
)

/** Looks at the file system of a directory, which need not exist yet. Reads /proc and /sys, touches no disk. */
export function inspectEnvironment(
  directory: string,
  source: EnvironmentSource = systemSource(),
): DiskEnvironment {
  const mount = findMount(directory, source)
  if (mount === undefined) {
    return {
      fsType: 'unknown',
      device: 'unknown',
      mountPoint: 'unknown',
      mountOptions: [],
      physicalBlockBytes: undefined,
      blockBytes: MIN_BLOCK_BYTES,
      warnings: [],
    }
  }
  const physicalBlockBytes = readPhysicalBlockBytes(mount, source)
  return {
    fsType: mount.fsType,
    device: mount.device,
    mountPoint: mount.mountPoint,
    mountOptions: mount.options,
    physicalBlockBytes,
    blockBytes: Math.min(MAX_BLOCK_BYTES, Math.max(MIN_BLOCK_BYTES, physicalBlockBytes ?? 0)),
    warnings: warningsFor(mount),
  }
}

function systemSource(): EnvironmentSource {
  return {
    readText: (path) => attempt(() => fs.readFileSync(path, 'utf8')),
    realPath: (path) => attempt(() => fs.realpathSync(path)),
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    // Not Linux, a container without /sys, a path that is not there yet: then the fact is unknown.
    return undefined
  }
}

function findMount(directory: string, source: EnvironmentSource): Mount | undefined {
  const text = source.readText('/proc/self/mountinfo')
  if (text === undefined) return undefined
  const path = existingAncestor(resolve(directory), source)
  let found: Mount | undefined
  for (const line of text.split('\n')) {
    const mount = parseMount(line)
    if (mount === undefined || !isWithin(path, mount.mountPoint)) continue
    // The longest mount point holds the path; of several on the same point the last hides the others.
    if (found === undefined || mount.mountPoint.length >= found.mountPoint.length) found = mount
  }
  return found
}

function existingAncestor(path: string, source: EnvironmentSource): string {
  for (let at = path; ; at = dirname(at)) {
    const real = source.realPath(at)
    if (real !== undefined) return real
    if (dirname(at) === at) return at
  }
}

/** One line of mountinfo, see proc(5): id parent major:minor root mountPoint options [tags…] - type device options */
function parseMount(line: string): Mount | undefined {
  const separator = line.indexOf(' - ')
  if (separator < 0) return undefined
  const [, , majorMinor, , mountPoint, options] = line.slice(0, separator).split(' ')
  const [fsType, device, superOptions] = line.slice(separator + 3).split(' ')
  if (majorMinor === undefined || mountPoint === undefined || fsType === undefined) return undefined
  return {
    majorMinor,
    mountPoint: unescapePath(mountPoint),
    fsType,
    device: unescapePath(device ?? 'none'),
    options: [...new Set(`${options ?? ''},${superOptions ?? ''}`.split(',').filter(Boolean))],
  }
}

/** Spaces and the like stand in mountinfo as three octal digits. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

function isWithin(path: string, mountPoint: string): boolean {
  return mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
}

function readPhysicalBlockBytes(mount: Mount, source: EnvironmentSource): number | undefined {
  const device = `/sys/dev/block/${mount.majorMinor}`
  // A partition has no queue; its parent, the disk, has. btrfs and its like show a number that is no device.
  const name = basename(source.realPath(mount.device) ?? mount.device)
  for (const place of [device, `${device}/..`, `/sys/class/block/${name}`, `/sys/class/block/${name}/..`]) {
    const value = Number(source.readText(`${place}/queue/physical_block_size`) ?? Number.NaN)
    if (Number.isInteger(value) && value >= 512 && (value & (value - 1)) === 0) return value
  }
  return undefined
}

function warningsFor({ fsType, options, mountPoint }: Mount): string[] {
  const warnings: string[] = []
  const warn = (text: string): void => {
    warnings.push(`${mountPoint} is ${fsType}: ${text}`)
  }
  if (fsType === 'tmpfs' || fsType === 'ramfs') warn('it is memory, commits do not survive a power cut')
  if (fsType === 'btrfs' || fsType === 'zfs' || fsType === 'bcachefs') {
    warn(
      'each overwrite allocates, so commits are slower and can run out of space, and O_DIRECT may be buffered',
    )
  }
  if (fsType === 'overlay' && options.includes('volatile'))
    warn('mounted volatile, which makes every sync do nothing')
  if (NETWORK_TYPES.has(fsType)) warn('network file systems are not supported: locks and syncs may not hold')
  else if (fsType === 'fuse' || fsType.startsWith('fuse.') || fsType === 'fuseblk') {
    warn('whether a sync reaches the disk depends on a user-space driver')
  }
  if (options.includes('nobarrier') || options.includes('barrier=0')) {
    warn('mounted without write barriers, commits may not survive a power cut')
  }
  if (fsType === 'xfs') {
    warn(
      'do not copy the log with reflinks (cp --reflink) while it is in use: commits after that must allocate',
    )
  }
  return warnings
}
