import { type Node, parse } from 'acorn'
import MagicString from 'magic-string'

/**
 * Makes the threads of a model out of plain functions: whatever calls an operation of shared memory or of the disk,
 * directly or not, becomes a generator, and asks the machine before each operation. Functions are told apart by
 * their names, so the names of such methods must not be used for anything else; where a function cannot become a
 * generator (an arrow function, a constructor, a getter, an async function), this throws.
 */
export interface Transformed {
  code: string
  /** By site number: function and text of the operation. */
  sites: string[]
}

/** Where the stand-ins of src/shared/atomics.ts are: left as they are. What is a generator there asks by itself. */
export interface Section {
  from: number
  to: number
}

/** Operations of the disk and of the operating system, and what is not atomic and many: the bytes of records. */
const OUTER_STEPS = [
  ...['open', 'dataSync', 'fullSync'].map((name) => `fs:${name}`),
  ...['f:fence', 'liveness:threadState'],
  ...['copyOut', 'encodeRecord', 'encodeNoop'].map((name) => `m:${name}`),
]
const OUTER_GENERATORS = ['fs:write']
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
/** Receivers by which methods of the same name are told apart. */
const RECEIVERS = new Set(['wide', 'fs', 'liveness'])
/** Methods of a typed array, and of a DataView, that change it. */
const RAW_METHODS = /^(fill|copyWithin|set|set(Big)?(Int|Uint|Float)\d+)$/

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
  /** Uses of the shared memory without an operation. */
  raw: AnyNode[]
}

interface FoundCall {
  key: string
  node: AnyNode
  in: FoundFunction | undefined
}

interface Found {
  functions: FoundFunction[]
  calls: FoundCall[]
  steps: Set<string>
  generators: Set<string>
}

/** @param isWatched uses of the shared memory without an operation call `M.raw` */
export function transform(source: string, atomics: Section, isWatched: boolean): Transformed {
  const root = parse(source, { ecmaVersion: 'latest', sourceType: 'script' }) as unknown as AnyNode
  const found = collect(root, atomics)
  const lifted = findLifted(found)
  const isStep = (key: string): boolean => found.steps.has(key) || lifted.has(key)
  const coloured = findColoured(found, isStep)
  const output = new MagicString(source)
  for (const fn of found.functions) {
    if (fn.key !== undefined && coloured.has(fn.key) && !lifted.has(fn.key)) output.appendLeft(fn.starAt, '*')
    if (isWatched) markRaw(output, fn)
  }
  const sites: string[] = []
  for (const call of found.calls) {
    const within = call.in?.key
    if (within !== undefined && lifted.has(within)) continue
    if (within !== undefined && SILENT.has(within)) {
      if (isWatched && found.steps.has(call.key)) addArgument(output, call, 'M.hush()')
      continue
    }
    const isGenerator = found.generators.has(call.key) || coloured.has(call.key)
    if (!isStep(call.key) && !isGenerator) continue
    if (call.in === undefined)
      throw new Error(`an operation outside of any function: ${text(source, call.node)}`)
    if (isStep(call.key) || (found.generators.has(call.key) && call.key !== 'f:pause')) {
      addArgument(output, call, `(M.steps++ >= M.askAt && M.ask(${sites.length}) && (yield))`)
      sites.push(`${call.in.name}: ${text(source, call.node)}`)
    }
    if (isGenerator) {
      output.appendRight(call.node.start, '(yield* ')
      output.appendLeft(call.node.end, ')')
    }
  }
  return { code: output.toString(), sites }
}

function addArgument(output: MagicString, { node }: FoundCall, argument: string): void {
  const isFirst = (node.arguments as AnyNode[]).length === 0
  output.appendLeft(node.end - 1, isFirst ? argument : `, ${argument}`)
}

function markRaw(output: MagicString, { raw }: FoundFunction): void {
  for (const node of raw) {
    output.appendRight(node.start, '(M.raw(), ')
    output.appendLeft(node.end, ')')
  }
}

function collect(root: AnyNode, atomics: Section): Found {
  const found: Found = {
    functions: [],
    calls: [],
    steps: new Set(OUTER_STEPS),
    generators: new Set(OUTER_GENERATORS),
  }
  const walk = (node: AnyNode, parents: readonly AnyNode[], within: FoundFunction | undefined): void => {
    let inside = within
    const fn = asFunction(node, parents)
    if (fn !== undefined) {
      if (node.start >= atomics.from && node.start < atomics.to) {
        noteOperation(found, node, parents)
        return
      }
      found.functions.push(fn)
      inside = fn
    } else if (node.type === 'CallExpression') {
      const key = keyOf(node.callee as AnyNode)
      if (key !== undefined) {
        const call = { key, node, in: within }
        found.calls.push(call)
        within?.calls.push(call)
      }
    } else if (node.type === 'MemberExpression' && isRaw(node)) within?.raw.push(node.object as AnyNode)
    const path = [node, ...parents.slice(0, 2)]
    for (const key in node) {
      if (key === 'start' || key === 'end') continue
      const value = node[key]
      if (Array.isArray(value)) for (const child of value) visit(child, path, inside)
      else visit(value, path, inside)
    }
  }
  const visit = (value: unknown, parents: readonly AnyNode[], within: FoundFunction | undefined): void => {
    if (typeof value === 'object' && value !== null && typeof (value as AnyNode).type === 'string') {
      walk(value as AnyNode, parents, within)
    }
  }
  walk(root, [], undefined)
  return found
}

/** Functions of the model's atomics are operations; methods of its classes those of wide words. */
function noteOperation(found: Found, node: AnyNode, parents: readonly AnyNode[]): void {
  const isMethod = parents[0]?.type === 'MethodDefinition'
  const named = (isMethod ? parents[0].key : node.id) as { name: string } | null | undefined
  if (named === null || named === undefined) return
  const key = isMethod ? `wide:${named.name}` : `f:${named.name}`
  if (node.generator === true) found.generators.add(key)
  else found.steps.add(key)
}

/** An element of anything, which may be a view on the shared memory; a method that changes many of its elements. */
function isRaw(node: AnyNode): boolean {
  if ((node.object as AnyNode).type === 'Super') return false
  if (node.computed === true) return (node.property as AnyNode).type !== 'Literal'
  return RAW_METHODS.test((node.property as AnyNode).name as string)
}

function asFunction(node: AnyNode, [parent]: readonly AnyNode[]): FoundFunction | undefined {
  if (node.type === 'FunctionDeclaration') {
    const name = (node.id as unknown as { name: string }).name
    return { key: `f:${name}`, node, starAt: node.start + 'function'.length, name, calls: [], raw: [] }
  }
  if (node.type !== 'FunctionExpression' && node.type !== 'ArrowFunctionExpression') return undefined
  if (parent?.type !== 'MethodDefinition' || parent.kind !== 'method' || node.async === true) {
    return { key: undefined, node, starAt: -1, name: `a ${node.type}`, calls: [], raw: [] }
  }
  const key = parent.key as AnyNode
  const name = String(key.name)
  return { key: `m:${name}`, node, starAt: key.start, name, calls: [], raw: [] }
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
function findLifted(found: Found): Set<string> {
  const coloured = findColoured(found, (key) => found.steps.has(key), true)
  const hasRaw = new Set(found.functions.filter(({ raw }) => raw.length > 0).map(({ key }) => key))
  const isPure = (key: string): boolean =>
    !coloured.has(key) && !found.generators.has(key) && !hasRaw.has(key)
  const lifted = new Set<string>()
  const rest = new Set<string>()
  for (const fn of found.functions) {
    if (fn.key === undefined) continue
    const others = fn.calls.filter(({ key }) => !found.steps.has(key))
    const isOne = fn.calls.length - others.length === 1 && others.every(({ key }) => isPure(key))
    if (isOne && fn.raw.length === 0 && isStraight(fn)) lifted.add(fn.key)
    else rest.add(fn.key)
  }
  for (const key of [...rest, ...SILENT]) lifted.delete(key)
  return lifted
}

/** No loop and no branch: what it does besides the operation may be done at the same instant. */
function isStraight({ node }: FoundFunction): boolean {
  const body = node.body as AnyNode
  if (body.type !== 'BlockStatement') return false
  return (body.body as AnyNode[]).every(({ type }) =>
    ['VariableDeclaration', 'ReturnStatement', 'ExpressionStatement'].includes(type),
  )
}

/** The functions from which operations are reached. @param isLenient those that cannot be generators pass too */
function findColoured(found: Found, isStep: (key: string) => boolean, isLenient = false): Set<string> {
  const coloured = new Set<string>()
  for (let grows = true; grows; ) {
    grows = false
    for (const fn of found.functions) {
      if (fn.key !== undefined && (coloured.has(fn.key) || SILENT.has(fn.key) || isStep(fn.key))) continue
      if (!fn.calls.some(({ key }) => isStep(key) || found.generators.has(key) || coloured.has(key))) continue
      if (fn.key === undefined) {
        if (isLenient) continue
        throw new Error(`${fn.name} at ${fn.node.start} cannot be a generator`)
      }
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
