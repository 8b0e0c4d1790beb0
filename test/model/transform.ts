import { type Node, parse } from 'acorn'
import MagicString from 'magic-string'

/**
 * Makes the threads of a model out of plain functions: whatever calls an operation of shared memory or of the disk,
 * directly or not, becomes a generator, and asks `M.step` before each operation. Functions are told apart by their
 * names, so the names of such methods must not be used for anything else; where a function cannot become a
 * generator (an arrow function, a constructor, a getter, an async function), this throws.
 */
export interface Transformed {
  code: string
  /** By site number: function and text of the operation. */
  sites: string[]
}

/** Operations that are one step, by the key that `keyOf` makes. */
const STEPS = new Set([
  ...['load', 'store', 'compareExchange', 'add', 'setBits', 'clearBits', 'notify', 'fence'].map(
    (name) => `f:${name}`,
  ),
  ...['load', 'store', 'add', 'compareExchange'].map((name) => `wide:${name}`),
  ...['dataSync', 'fullSync'].map((name) => `fs:${name}`),
  'liveness:threadState',
  // Not atomic, and many: the bytes of a record, of a batch.
  ...['copyOut', 'encodeRecord', 'encodeNoop'].map((name) => `m:${name}`),
])
/** Operations that are generators themselves. */
const GENERATORS = new Set(['f:wait', 'f:pause', 'wide:reserve', 'fs:write'])
/**
 * Methods upon words that decide nothing (counters, what is shown to people, the wall clock) or that do not change
 * while the model runs (who the clients are): a switch before them is as good as one before the operation that follows.
 */
const SILENT = new Set(
  [
    ...['count', 'nextOwner', 'storeStarted', 'lastCommitFailed', 'storeLastCommitFailed'],
    ...['threadOf', 'startTicksOf', 'isReportedDead', 'usedCount', 'committerClient', 'keeperClient'],
    ...['storeFailure', 'failureErrno', 'failureCall', 'clearLastCommitFailed'],
  ].map((name) => `m:${name}`),
)
/**
 * Words that are looked at and changed under the commit-lock, or by the owner of a slot, and by nobody else: who dies
 * here leaves something half done, but a mere switch is as good as one at the operation that follows (as CHESS has
 * it: threads are switched at synchronization). Random schedules switch here too, lest this is not so.
 */
const DATA = new Set(
  [
    ...[
      'writeOffset',
      'frameSequence',
      'previousOffset',
      'previousChecksum',
      'previousSegment',
      'previousEnd',
    ],
    ...['saltLow', 'saltHigh', 'segmentLimit', 'frameBytes', 'ringEnd', 'checksumOf', 'flagsOf', 'offsetOf'],
    ...[
      'segmentOf',
      'frameSequenceOf',
      'previousChecksumOf',
      'previousOffsetOf',
      'previousSegmentOf',
      'previousEndOf',
    ],
  ].map((name) => `m:${name}`),
)
/** Methods all of whose operations are such data, but for those upon the words that the pattern names. */
const DATA_METHODS: Record<string, RegExp> = {
  stageSlot: /STATE|FIRST_LSN|END_LSN|RECORD_COUNT/,
  storeChain: /^$/,
}
const RECEIVERS = new Set(['wide', 'fs', 'liveness'])

interface AnyNode extends Node {
  [key: string]: unknown
}

interface FoundFunction {
  key: string | undefined
  node: AnyNode
  /** Where the star goes. */
  starAt: number
  name: string
  calls: FoundCall[]
}

interface FoundCall {
  key: string
  node: AnyNode
  in: FoundFunction | undefined
}

/** @param skip tells whether the code at an offset is left alone: the operations themselves */
export function transform(source: string, skip: (offset: number) => boolean): Transformed {
  const found = collect(
    parse(source, { ecmaVersion: 'latest', sourceType: 'script' }) as unknown as AnyNode,
    skip,
  )
  const lifted = findLifted(found.functions, source)
  const isStep = (key: string): boolean => STEPS.has(key) || lifted.has(key)
  const coloured = findColoured(found.functions, isStep)
  const output = new MagicString(source)
  for (const fn of found.functions) {
    if (fn.key === undefined || !coloured.has(fn.key) || lifted.has(fn.key)) continue
    output.appendLeft(fn.starAt, '*')
  }
  const sites: string[] = []
  for (const call of found.calls) {
    if (call.in?.key !== undefined && lifted.has(call.in.key)) continue
    if (call.in?.key !== undefined && SILENT.has(call.in.key)) continue
    const { node, key } = call
    const isGenerator = GENERATORS.has(key) || coloured.has(key)
    if (!isStep(key) && !isGenerator) continue
    if (call.in === undefined) throw new Error(`an operation outside of any function: ${text(source, node)}`)
    if (isStep(key) || (GENERATORS.has(key) && key !== 'f:pause')) {
      const args = node.arguments as AnyNode[]
      const kind = isData(call, source) ? 'stepData' : 'step'
      const point = `(M.${kind}(${sites.length}) && (yield))`
      output.appendLeft(node.end - 1, args.length > 0 ? `, ${point}` : point)
      sites.push(`${call.in.name}: ${text(source, node)}`)
    }
    if (isGenerator) {
      output.appendRight(node.start, '(yield* ')
      output.appendLeft(node.end, ')')
    }
  }
  return { code: output.toString(), sites }
}

function isData({ key, node, in: within }: FoundCall, source: string): boolean {
  const shared = within === undefined ? undefined : DATA_METHODS[within.name]
  return DATA.has(key) || (shared !== undefined && !shared.test(text(source, node)))
}

function collect(
  root: AnyNode,
  skip: (offset: number) => boolean,
): { functions: FoundFunction[]; calls: FoundCall[] } {
  const functions: FoundFunction[] = []
  const calls: FoundCall[] = []
  const walk = (node: AnyNode, parent: AnyNode | undefined, within: FoundFunction | undefined): void => {
    let inside = within
    const fn = asFunction(node, parent)
    if (fn !== undefined) {
      if (skip(node.start)) return
      functions.push(fn)
      inside = fn
    } else if (node.type === 'CallExpression' && !skip(node.start)) {
      const key = keyOf(node.callee as AnyNode)
      if (key !== undefined) {
        const call = { key, node, in: within }
        calls.push(call)
        within?.calls.push(call)
      }
    }
    for (const key in node) {
      if (key === 'start' || key === 'end') continue
      const value = node[key]
      if (Array.isArray(value)) for (const child of value) visit(child, node, inside)
      else visit(value, node, inside)
    }
  }
  const visit = (value: unknown, parent: AnyNode, within: FoundFunction | undefined): void => {
    if (typeof value === 'object' && value !== null && typeof (value as AnyNode).type === 'string') {
      walk(value as AnyNode, parent, within)
    }
  }
  walk(root, undefined, undefined)
  return { functions, calls }
}

function asFunction(node: AnyNode, parent: AnyNode | undefined): FoundFunction | undefined {
  if (node.type === 'FunctionDeclaration') {
    const name = (node.id as unknown as { name: string }).name
    return { key: `f:${name}`, node, starAt: node.start + 'function'.length, name, calls: [] }
  }
  if (node.type !== 'FunctionExpression' && node.type !== 'ArrowFunctionExpression') return undefined
  const method = parent?.type === 'MethodDefinition' ? parent : undefined
  if (method === undefined || method.kind !== 'method' || node.async === true) {
    return { key: undefined, node, starAt: -1, name: `a ${node.type}`, calls: [] }
  }
  const key = method.key as AnyNode
  const name = String(key.name)
  return { key: `m:${name}`, node, starAt: key.start, name, calls: [] }
}

function keyOf(callee: AnyNode): string | undefined {
  if (callee.type === 'Identifier') return `f:${callee.name as string}`
  if (callee.type !== 'MemberExpression' || callee.computed === true) return undefined
  const name = (callee.property as AnyNode).name as string
  const object = callee.object as AnyNode
  const receiver = object.type === 'MemberExpression' ? (object.property as AnyNode).name : object.name
  return RECEIVERS.has(receiver as string) ? `${receiver as string}:${name}` : `m:${name}`
}

/** Methods that are one operation and nothing else: the step is taken by their callers, and they stay as they are. */
function findLifted(functions: FoundFunction[], source: string): Set<string> {
  const lifted = new Set<string>()
  const rest = new Set<string>()
  for (const fn of functions) {
    if (fn.key === undefined) continue
    if (isOneStep(fn, source)) lifted.add(fn.key)
    else rest.add(fn.key)
  }
  for (const key of rest) lifted.delete(key)
  for (const key of SILENT) lifted.delete(key)
  return lifted
}

function isOneStep(fn: FoundFunction, source: string): boolean {
  const body = fn.node.body as AnyNode
  if (body.type !== 'BlockStatement') return false
  if (fn.calls.filter((call) => STEPS.has(call.key)).length !== 1) return false
  if (fn.calls.some((call) => GENERATORS.has(call.key))) return false
  // Other calls only of what computes: a method of the same class without operations is known by its name.
  if (
    fn.calls.some(
      (call) =>
        !STEPS.has(call.key) &&
        !/^(m:(at|publishedCode|indexOf)|f:(wakeIndex|ownerClient|phaseOf|stateWordOf))$/.test(call.key),
    )
  )
    return false
  if (/\b(words|bytes)\[/.test(source.slice(body.start, body.end))) return false
  return (body.body as AnyNode[]).every(({ type }) =>
    ['VariableDeclaration', 'ReturnStatement', 'ExpressionStatement'].includes(type),
  )
}

function findColoured(functions: FoundFunction[], isStep: (key: string) => boolean): Set<string> {
  const coloured = new Set<string>()
  for (let grows = true; grows; ) {
    grows = false
    for (const fn of functions) {
      if (fn.key !== undefined && (coloured.has(fn.key) || SILENT.has(fn.key) || isStep(fn.key))) continue
      if (!fn.calls.some(({ key }) => isStep(key) || GENERATORS.has(key) || coloured.has(key))) continue
      if (fn.key === undefined) throw new Error(`${fn.name} at ${fn.node.start} cannot be a generator`)
      coloured.add(fn.key)
      grows = true
    }
  }
  return coloured
}

function text(source: string, node: AnyNode): string {
  const code = source.slice(node.start, node.end).replaceAll(/\s+/g, ' ')
  return code.length > 90 ? `${code.slice(0, 87)}...` : code
}
