import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FileSystemModule, type OpenOptions, openLog } from '../../src/index.ts'
import { failureOf } from '../support/rejection.ts'
import { textsOf } from '../support/small-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** What is out of range, and what the error must name beside the option and the value. */
const OUT_OF_RANGE: [OpenOptions, ...string[]][] = [
  [{ segmentBytes: MIB - 1 }, `${MIB}`],
  [{ segmentBytes: 0 }],
  [{ segmentBytes: GIB + 1 }, `${GIB}`],
  [{ segmentBytes: MIB + 1 }, 'multiple of 65536'],
  [{ segmentBytes: 1.5 * MIB + 0.5 }],
  [{ segmentBytes: Number.NaN }],
  [{ ringBytes: 2048 }],
  [{ ringBytes: 2 * GIB }],
  [{ ringBytes: 3 * MIB }, 'power of two'],
  [{ maxBatchBytes: 0 }],
  [{ maxBatchBytes: -1 }],
  [{ maxBatchBytes: 8 }],
  [{ maxBatchBytes: GIB }],
  [{ stagingSlots: 0 }, '1, 2, 4, 8'],
  [{ stagingSlots: 3 }],
  [{ stagingSlots: 16 }],
  [{ maxProducers: 0 }],
  [{ maxProducers: 100_000 }],
  [{ stallWarnMs: 0 }],
  [{ stallWarnMs: 2 ** 31 }],
  [{ sealIdleMs: -1 }],
  [{ sealIdleMs: Number.POSITIVE_INFINITY }],
  [{ ownLeadMicros: -1 }],
  [{ ownLeadMicros: 0.5 }],
  [{ firstLsn: 0 }],
  [{ firstLsn: -5 }],
  [{ firstLsn: 1.5 }],
  [{ firstLsn: 2 ** 53 }],
  [{ keepSpares: -1 }],
  [{ keepSpares: 1e6 }],
  [{ syncMethod: 'hope' as 'fsync' }, 'dsync', 'fdatasync'],
  [{ lock: 'flock' as 'ofd' }, 'ofd', 'none'],
]

test('sizes that no shared memory can hold together are a RangeError that names them, and nothing is made', async () => {
  const directory = join(temporaryDirectory(), 'log')
  const options = { ringBytes: GIB, segmentBytes: GIB, maxBatchBytes: GIB / 2, stagingSlots: 8 }
  const failure = await failureOf(openLog(directory, options))
  assert.instance(failure, RangeError, String(failure))
  for (const text of [`ringBytes ${GIB}`, `maxBatchBytes ${GIB / 2}`, 'stagingSlots 8']) {
    assert.ok(failure.message.includes(text), failure.message)
  }
  assert.not.ok(existsSync(directory))
})

test('a size or number out of range is a RangeError that names option, value and limit', async () => {
  for (const [options, ...named] of OUT_OF_RANGE) {
    const [[name, value]] = Object.entries(options)
    const directory = join(temporaryDirectory(), 'log')
    const failure = await failureOf(openLog(directory, options))
    const what = `${name}: ${value}: ${failure}`
    assert.instance(failure, RangeError, what)
    for (const text of [name, String(value), ...named]) assert.ok(failure.message.includes(text), what)
  }
})

test('an option of a wrong type is a TypeError that names it', async () => {
  for (const name of [
    'segmentBytes',
    'ringBytes',
    'maxBatchBytes',
    'syncMethod',
    'stagingSlots',
    'maxProducers',
    'stallWarnMs',
    'sealIdleMs',
    'ownLeadMicros',
    'lock',
    'firstLsn',
    'keepSpares',
    'fileSystem',
  ]) {
    for (const value of [{}, [], true, 10n, name === 'syncMethod' || name === 'lock' ? 1 : '1']) {
      const failure = await failureOf(openLog(join(temporaryDirectory(), 'log'), { [name]: value }))
      const what = `${name}: ${typeof value}: ${failure.stack}`
      assert.instance(failure, TypeError, what)
      assert.match(failure.message, name, what)
    }
  }
  for (const options of [null, 'options', 1]) {
    assert.instance(await failureOf(openLog(temporaryDirectory(), options as OpenOptions)), TypeError)
  }
})

test('sizes that do not fit together are a RangeError that names all of them, and what would fit', async () => {
  for (const [options, most] of [
    [{ maxBatchBytes: MIB, ringBytes: MIB }, MIB / 2],
    [{ maxBatchBytes: 4096, ringBytes: 4096 }, 2048],
    [{ maxBatchBytes: MIB, segmentBytes: MIB }, MIB - 64 * KIB - 128],
    [{ maxBatchBytes: 64 * MIB }, 4 * MIB],
  ] as const) {
    const failure = await failureOf(openLog(join(temporaryDirectory(), 'log'), options))
    assert.instance(failure, RangeError)
    for (const text of [
      'maxBatchBytes',
      'ringBytes',
      'segmentBytes',
      `${options.maxBatchBytes}`,
      `${most}`,
    ]) {
      assert.ok(failure.message.includes(text), `${text} in ${failure.message}`)
    }
    const log = await openLog(temporaryDirectory(), { ...options, maxBatchBytes: most })
    assert.is(log.connect().commitSync({ payload: 'fits' }).lsn, 1)
    await log.close()
  }
})

test('options are checked before anything is touched', async () => {
  const base = temporaryDirectory()
  await failureOf(openLog(join(base, 'log'), { ringBytes: 5 }))
  await failureOf(openLog(join(base, 'log'), { unknown: 5 } as OpenOptions))
  assert.equal(readdirSync(base), [])
})

for (const options of [
  { ringBytes: 4 * KIB, segmentBytes: MIB, maxProducers: 1 },
  { ringBytes: 4 * KIB, segmentBytes: MIB, maxBatchBytes: 56, stagingSlots: 8 },
  { ringBytes: 4 * KIB, segmentBytes: MIB, maxBatchBytes: 100 },
  { ringBytes: 64 * MIB, segmentBytes: MIB, stagingSlots: 4 },
  { ringBytes: 8 * MIB, segmentBytes: MIB + 64 * KIB, maxBatchBytes: MIB - 128 },
  { ringBytes: 32 * MIB, segmentBytes: 64 * MIB, maxBatchBytes: 16 * MIB, maxProducers: 1000 },
] satisfies OpenOptions[]) {
  test(`the log works at the edge: ${JSON.stringify(options)}`, async () => {
    const log = await openLog(temporaryDirectory(), options)
    const producer = log.connect()
    const texts = Array.from({ length: 200 }, (_, index) => `r ${index}`)
    await Promise.all(texts.slice(0, 150).map((payload) => producer.commit({ payload })))
    for (const payload of texts.slice(150)) producer.commitSync({ payload })
    assert.equal(textsOf(log), texts)
    const { directory } = log
    await log.close()
    const again = await openLog(directory, options)
    assert.equal(textsOf(again), texts)
    assert.is(again.connect().commitSync({ payload: 'next' }).lsn, 201)
    await again.close()
  })
}

test('a log opens with other sizes than it was made with, and keeps what it holds', async () => {
  const directory = temporaryDirectory()
  const texts: string[] = []
  const lives: OpenOptions[] = [
    { segmentBytes: MIB },
    { segmentBytes: 2 * MIB, ringBytes: 4 * KIB },
    { segmentBytes: MIB, ringBytes: 16 * MIB, stagingSlots: 8 },
    { segmentBytes: 4 * MIB, syncMethod: 'fdatasync' },
    { segmentBytes: MIB, syncMethod: 'fsync', ringBytes: 4 * KIB },
  ]
  for (const [life, options] of lives.entries()) {
    const log = await openLog(directory, options)
    const producer = log.connect()
    for (let index = 0; index < 800; index++) {
      texts.push(`life ${life}, record ${index}`.padEnd(1900, '.'))
      producer.append({ payload: texts.at(-1)! })
    }
    await producer.flush()
    assert.is(log.durableLsn, texts.length)
    assert.equal(textsOf(log), texts)
    await log.close()
  }
})

test('a file-system module that is none is refused with what is wrong', async () => {
  const open = (fileSystem: FileSystemModule) => failureOf(openLog(temporaryDirectory(), { fileSystem }))
  assert.match((await open({ module: './relative.cjs' })).message, 'absolute')
  assert.match((await open({ module: join(process.cwd(), 'no-such-file.cjs') })).message, 'no-such-file.cjs')
  assert.match((await open({ module: join(process.cwd(), 'package.json') })).message, 'createFileSystem')
})

test.run()
