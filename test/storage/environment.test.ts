import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type EnvironmentSource, inspectEnvironment } from '../../src/storage/environment.ts'
import { skipUnless } from '../support/skip.ts'

const MOUNTINFO = `\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 8:1 / /data rw,noatime shared:7 master:3 - xfs /dev/sda1 rw,attr2
29 28 0:44 / /data/my\\040ram rw - tmpfs tmpfs rw,size=4k
30 27 0:45 /@home /home rw - btrfs /dev/nvme0n1p2 rw,space_cache=v2
31 27 0:46 / /layers rw - overlay overlay rw,lowerdir=/l,volatile
32 27 0:47 / /net rw - nfs4 server:/export rw,vers=4.2
33 27 0:48 / /fuse rw - fuse.mergerfs a:b rw
34 27 8:2 / /lies rw - ext4 /dev/sdb rw,nobarrier
35 27 8:3 / /twice rw - ext4 /dev/sdc rw
36 27 0:49 / /twice rw - tmpfs tmpfs rw
37 27 8:4 / /plain rw - overlay overlay rw,lowerdir=/l
`

const BLOCK_FILES: Record<string, string> = {
  '/proc/self/mountinfo': MOUNTINFO,
  '/sys/dev/block/254:0/queue/physical_block_size': '512\n',
  '/sys/dev/block/8:1/../queue/physical_block_size': '4096\n',
  '/sys/class/block/nvme0n1p2/../queue/physical_block_size': '16384\n',
  '/sys/dev/block/8:2/queue/physical_block_size': 'nonsense',
}

function sourceOf(missing: string[] = []): EnvironmentSource {
  return {
    readText: (path) => BLOCK_FILES[path],
    realPath: (path) => (missing.includes(path) ? undefined : path.replace(/^\/link/, '/data')),
  }
}

function inspect(directory: string, missing?: string[]): ReturnType<typeof inspectEnvironment> {
  return inspectEnvironment(directory, sourceOf(missing))
}

test('the longest mount point counts, through links, and for folders that are still to be made', () => {
  assert.is(inspect('/var/log').fsType, 'ext4')
  assert.is(inspect('/data/logs').fsType, 'xfs')
  assert.is(inspect('/database').fsType, 'ext4')
  assert.is(inspect('/link/logs').mountPoint, '/data')
  assert.is(inspect('/data/a/b', ['/data/a/b', '/data/a']).fsType, 'xfs')
  assert.is(inspect('/data/my ram/x').fsType, 'tmpfs')
  assert.is(inspect('/twice/x').fsType, 'tmpfs')
})

test('the block is at least 4096, and that of the disk, found also for partitions and volumes', () => {
  assert.equal([inspect('/x').physicalBlockBytes, inspect('/x').blockBytes], [512, 4096])
  assert.equal([inspect('/data').physicalBlockBytes, inspect('/data').blockBytes], [4096, 4096])
  assert.equal([inspect('/home').physicalBlockBytes, inspect('/home').blockBytes], [16384, 16384])
  assert.equal([inspect('/lies').physicalBlockBytes, inspect('/lies').blockBytes], [undefined, 4096])
})

test('device and mount options are told', () => {
  const { device, mountOptions } = inspect('/data')
  assert.is(device, '/dev/sda1')
  assert.equal(mountOptions, ['rw', 'noatime', 'attr2'])
})

for (const [directory, word] of [
  ['/data', 'reflink'],
  ['/data/my ram', 'memory'],
  ['/home', 'overwrite'],
  ['/layers', 'volatile'],
  ['/net', 'network'],
  ['/fuse', 'user-space'],
  ['/lies', 'barriers'],
]) {
  test(`there is a warning for ${directory}: ${word}`, () => {
    const { warnings } = inspect(directory!)
    assert.is(warnings.length, 1, warnings.join('\n'))
    assert.match(warnings[0], word!)
  })
}

test('there is none for ext4 and a plain overlay', () => {
  assert.equal(inspect('/x').warnings, [])
  assert.equal(inspect('/plain').warnings, [])
})

test('without /proc nothing is known and nothing fails', () => {
  const nothing = { readText: () => undefined, realPath: () => undefined }
  const environment = inspectEnvironment('/x', nothing)
  assert.is(environment.fsType, 'unknown')
  assert.is(environment.blockBytes, 4096)
})

const notLinux = process.platform === 'linux' ? undefined : 'needs /proc'

skipUnless(test, notLinux, 'the real disk is recognized', () => {
  const environment = inspectEnvironment(process.cwd())
  console.log(environment)
  assert.not.equal(environment.fsType, 'unknown')
  assert.ok(environment.blockBytes >= 4096)
})

test.run()
