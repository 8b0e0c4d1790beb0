import { type Node, parse } from 'acorn'
import MagicString from 'magic-string'

/**
 * Makes the threads of a model out of plain functions: whatever calls an operation of shared memory or of the disk,
 * directly or not, becomes a generator, and asks the machine before each operation. Functions are told apart by
 * their names, so the names of such methods must not be used for anything else; where a function cannot become a
 * generator (a constructor, a setter), this throws. Arrow functions become generators that are bound, `await` runs the
 * event loop of the model (event-loop.ts), and private fields public ones, so that restore.ts finds them.
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
  ...['open', 'dataSync', 'fullSync', 'list', 'unlink'].map((name) => `fs:${name}`),
  ...['beginSegment', 'fillSegment', 'publishSegment', 'writeZeros'].map((name) => `fs:${name}`),
  ...['f:fence', 'liveness:threadState'],
  ...['copyOut', 'encodeRecord', 'encodeNoop'].map((name) => `m:${name}`),
]
const OUTER_GENERATORS = ['fs:write']
/** Of the model itself: they give the turn to others, and are no operation. */
const STEPLESS = new Set(['f:pause', 'f:rest', 'f:takeTurns'])
/** Functions that are called by the name of a parameter or of a variable: some of them become generators. */
const CALLBACKS = new Set(['then', 'leave', 'onGivenUp', 'callback', 'executor'].map((name) => `f:${name}`))
/** Getters that become methods wherever they are called and have operations; others that do are never called here. */
const GETTERS = new Set(['isLow', 'isAhead'])
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
const RECEIVERS = new Set(['wide', 'fs', 'liveness', 'port'])
/** Methods of a typed array, and of a DataView, that change it. */
const RAW_METHODS = /^(fill|copyWithin|set|set(Big)?(Int|Uint|Float)\d+)$/

interface AnyNode extends Node {
  [key: string]: unknown
}

interface FoundFunction {
  /** How it is called; undefined when only the model or V8 calls it. */
  key: string | undefined
  node: AnyNode
  kind: 'function' | 'arrow' | 'getter' | 'other'
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
  /** `promise`: new Promise(arrow function). `filter`: of an array, by an arrow function. */
  kind: 'call' | 'callback' | 'getter' | 'promise' | 'filter'
  in: FoundFunction | undefined
  /** Within `a?.b()`. */
  isOptional: boolean
}

interface Found {
  functions: FoundFunction[]
  calls: FoundCall[]
  steps: Set<string>
  generators: Set<string>
  /** `await` within async methods, and the names of private fields. */
  awaits: { node: AnyNode; in: FoundFunction | undefined }[]
  privates: AnyNode[]
}

/** @param isWatched uses of the shared memory without an operation call `M.raw` */
export function transform(source: string, atomics: Section, isWatched: boolean): Transformed {
  const root = parse(source, { ecmaVersion: 'latest', sourceType: 'script' }) as unknown as AnyNode
  const found = collect(root, atomics)
  const lifted = findLifted(found)
  const isStep = (key: string): boolean => found.steps.has(key) || lifted.has(key)
  const coloured = findColoured(found, isStep)
  const isColoured = (fn: FoundFunction): boolean =>
    fn.key === undefined
      ? fn.calls.some((call) => reaches(found, coloured, isStep, call))
      : coloured.has(fn.key) && !lifted.has(fn.key)
  const output = new MagicString(source)
  for (const node of found.privates) output.update(node.start, node.start + 1, '_')
  const sites: string[] = []
  for (const call of found.calls) {
    const within = call.in?.key
    if (within !== undefined && lifted.has(within)) continue
    if (call.in !== undefined && isUncalled(call.in)) continue
    if (within !== undefined && SILENT.has(within)) {
      if (isWatched && found.steps.has(call.key)) addArgument(output, call, 'M.hush()')
      continue
    }
    const isGenerator = found.generators.has(call.key) || coloured.has(call.key) || call.kind === 'callback'
    if (!isStep(call.key) && !isGenerator) {
      if (call.kind === 'promise')
        output.update(call.node.start, (call.node.callee as AnyNode).end, 'M.loop.makePromise')
      continue
    }
    if (call.in === undefined)
      throw new Error(`an operation outside of any function: ${text(source, call.node)}`)
    if (isStep(call.key) || (found.generators.has(call.key) && !STEPLESS.has(call.key))) {
      addArgument(output, call, `(M.steps++ >= M.askAt && M.ask(${sites.length}) && (yield))`)
      sites.push(`${call.in.name}: ${text(source, call.node)}`)
    }
    if (call.isOptional && isGenerator)
      throw new Error(`an operation behind a question mark: ${text(source, call.node)}`)
    if (isGenerator) callGenerator(output, call)
  }
  for (const fn of found.functions) {
    if (isColoured(fn)) makeGenerator(output, source, fn)
    if (isWatched) markRaw(output, fn)
  }
  for (const { node, in: within } of found.awaits) {
    if (within === undefined || !isColoured(within)) continue
    output.update(node.start, node.start + 'await'.length, '(yield* M.loop.wait(')
    output.appendLeft(node.end, '))')
  }
  return { code: output.toString(), sites }
}

/** A getter that has operations, and that nobody calls here. */
function isUncalled({ kind, name }: FoundFunction): boolean {
  return kind === 'getter' && !GETTERS.has(name)
}

function makeGenerator(output: MagicString, source: string, fn: FoundFunction): void {
  const { node, kind, starAt, name } = fn
  if (isUncalled(fn)) return
  if (kind === 'other') throw new Error(`${name} at ${node.start} cannot be a generator`)
  if (kind === 'getter') output.remove(starAt, starAt + 'get '.length)
  if (kind !== 'arrow') {
    if (node.async === true) output.remove(starAt - 'async '.length, starAt)
    output.appendLeft(starAt, '*')
    return
  }
  const body = node.body as AnyNode
  const isBlock = body.type === 'BlockStatement'
  const from = (node.params as AnyNode[]).at(-1)?.end ?? node.start
  const arrowAt = source.indexOf('=>', from)
  output.appendRight(node.start, '(function* ')
  output.update(arrowAt, arrowAt + 2, isBlock ? '' : '{ return')
  output.appendLeft(node.end, isBlock ? ').bind(this)' : ' }).bind(this)')
}

function callGenerator(output: MagicString, { node, kind }: FoundCall): void {
  const argument = (node.arguments as AnyNode[] | undefined)?.[0]
  if (kind === 'promise') output.update(node.start, (node.callee as AnyNode).end, 'M.loop.beginPromise')
  if (kind === 'filter') {
    const { object } = node.callee as unknown as { object: AnyNode }
    output.appendRight(node.start, '(yield* M.filter(')
    output.update(object.end, argument!.start, ', ')
    output.appendLeft(node.end, ')')
    return
  }
  if (kind === 'getter') output.appendLeft(node.end, '()')
  output.appendRight(node.start, kind === 'callback' ? '(yield* M.finish(' : '(yield* ')
  output.appendLeft(node.end, kind === 'callback' ? '))' : ')')
}

function addArgument(output: MagicString, { node }: FoundCall, argument: string): void {
  const isFirst = (node.arguments as AnyNode[]).length === 0
  // To the right of what closes a call that is the last argument.
  output.appendRight(node.end - 1, isFirst ? argument : `, ${argument}`)
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
    awaits: [],
    privates: [],
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
    } else {
      if (node.type === 'AwaitExpression') found.awaits.push({ node, in: within })
      if (node.type === 'PrivateIdentifier') found.privates.push(node)
      if (node.type === 'MemberExpression' && isRaw(node)) within?.raw.push(node.object as AnyNode)
      for (const [kind, key] of callsOf(node, parents)) {
        const call = { key, node, kind, in: within, isOptional: parents[0]?.type === 'ChainExpression' }
        found.calls.push(call)
        within?.calls.push(call)
      }
    }
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
  const found = { node, calls: [], raw: [] }
  if (node.type === 'FunctionDeclaration') {
    const name = (node.id as unknown as { name: string }).name
    return { ...found, kind: 'function', key: `f:${name}`, starAt: node.start + 'function'.length, name }
  }
  if (node.type === 'ArrowFunctionExpression') {
    const name = arrowName(node, parent)
    return { ...found, kind: 'arrow', key: name, starAt: -1, name: name ?? 'an arrow function' }
  }
  if (node.type !== 'FunctionExpression') return undefined
  const isMethod = parent?.type === 'MethodDefinition'
  if (!isMethod || (parent.kind !== 'method' && parent.kind !== 'get'))
    return { ...found, kind: 'other', key: undefined, starAt: -1, name: `a ${node.type}` }
  const key = parent.key as AnyNode
  const name = String(key.name)
  if (parent.kind === 'get') return { ...found, kind: 'getter', key: `g:${name}`, starAt: parent.start, name }
  const starAt = parent.computed === true ? parent.start : key.start
  return { ...found, kind: 'function', key: `m:${name}`, starAt, name }
}

/** What an arrow function is called by: the name of the variable or field that holds it, or the call that it is handed to. */
function arrowName(node: AnyNode, parent: AnyNode | undefined): string | undefined {
  if (parent?.type === 'VariableDeclarator') return `f:${(parent.id as AnyNode).name as string}`
  if (parent?.type === 'Property' && parent.value === node)
    return `m:${(parent.key as AnyNode).name as string}`
  if (parent?.type === 'AssignmentExpression') return keyOf(parent.left as AnyNode)
  if (parent !== undefined && calledAtOnce(parent) !== undefined) return `a:${node.start}`
  return undefined
}

/** `new Promise` and `filter` call the function that they are handed before they return. */
function calledAtOnce(node: AnyNode): 'promise' | 'filter' | undefined {
  const callee = node.callee as AnyNode | undefined
  if (node.type === 'NewExpression' && callee?.type === 'Identifier') {
    return callee.name === 'Promise' ? 'promise' : undefined
  }
  if (node.type !== 'CallExpression' || callee?.type !== 'MemberExpression') return undefined
  return (callee.property as AnyNode).name === 'filter' ? 'filter' : undefined
}

/** What is called here, and how. */
function* callsOf(
  node: AnyNode,
  [parent]: readonly AnyNode[],
): IterableIterator<[FoundCall['kind'], string]> {
  const atOnce = calledAtOnce(node)
  const argument = (node.arguments as AnyNode[] | undefined)?.[0]
  if (atOnce !== undefined && argument?.type === 'ArrowFunctionExpression')
    yield [atOnce, `a:${argument.start}`]
  if (node.type === 'CallExpression') {
    const key = keyOf(node.callee as AnyNode)
    if (key !== undefined) yield [CALLBACKS.has(key) ? 'callback' : 'call', key]
  }
  if (node.type !== 'MemberExpression' || node.computed === true) return
  const name = (node.property as AnyNode).name as string
  const isTarget = parent?.type === 'AssignmentExpression' && parent.left === node
  if (GETTERS.has(name) && !isTarget) yield ['getter', `g:${name}`]
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
    if (fn.key === undefined || fn.kind === 'arrow' || fn.kind === 'getter') continue
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
      if (!fn.calls.some((call) => reaches(found, coloured, isStep, call))) continue
      if (fn.kind === 'other' && !isLenient)
        throw new Error(`${fn.name} at ${fn.node.start} cannot be a generator`)
      if (fn.key === undefined) continue
      coloured.add(fn.key)
      grows = true
    }
  }
  return coloured
}

function reaches(
  found: Found,
  coloured: ReadonlySet<string>,
  isStep: (key: string) => boolean,
  { key, kind }: FoundCall,
): boolean {
  return kind === 'callback' || isStep(key) || found.generators.has(key) || coloured.has(key)
}

function text(source: string, node: AnyNode): string {
  const code = source.slice(node.start, node.end).replaceAll(/\s+/g, ' ')
  return code.length > 90 ? `${code.slice(0, 87)}...` : code
}
