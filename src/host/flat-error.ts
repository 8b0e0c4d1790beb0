import {
  CommitFailedError,
  CorruptLogError,
  GroupWalError,
  type GroupWalErrorCode,
  LockedError,
  LogClosedError,
  ReadTruncatedError,
  WaitGivenUpError,
} from '../errors.ts'

/**
 * An error as plain data. Structured cloning, by which a pool's worker answers, leaves nothing of an error but its
 * message, its stack and one of the standard classes.
 */
export interface FlatError {
  readonly groupwalError: 1
  name: string
  message: string
  stack: string | undefined
  /** One of ours, of whichever copy of the package. */
  isOwn: boolean
  /** Own properties that can be cloned, `code` among them; errors among them are flat. */
  fields: Record<string, unknown>
  /** Present, perhaps undefined, when the error has a cause. */
  cause?: unknown
}

const STANDARD: Record<string, ErrorConstructor> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
}

/** Makes one of our errors; its fields follow. The code only matters for the base class. */
const OWN: Record<string, (message: string, code: GroupWalErrorCode) => GroupWalError> = {
  GroupWalError: (message, code) => new GroupWalError(code, message),
  CommitFailedError: (message) => new CommitFailedError(message, { outcome: 'indeterminate' }),
  LogClosedError: (message) => new LogClosedError(message, { outcome: 'indeterminate' }),
  WaitGivenUpError: (message) =>
    new WaitGivenUpError('GROUPWAL_TIMEOUT', message, { outcome: 'indeterminate' }),
  CorruptLogError: (message) => new CorruptLogError(message, { segment: '', offset: 0 }),
  ReadTruncatedError: (message) => new ReadTruncatedError(message, { lsn: 0 }),
  LockedError: (message) => new LockedError(message, undefined),
}

/** Plain data for an error, with its causes; any other value is returned as it is. */
export function flattenError(value: unknown, seen: Map<unknown, FlatError> = new Map()): unknown {
  if (!(value instanceof Error)) return value
  const known = seen.get(value)
  if (known !== undefined) return known
  const flat: FlatError = {
    groupwalError: 1,
    name: String(value.name),
    message: String(value.message),
    stack: typeof value.stack === 'string' ? value.stack : undefined,
    isOwn: GroupWalError.is(value),
    fields: {},
  }
  seen.set(value, flat)
  for (const key of Object.keys(value)) keep(flat.fields, key, Reflect.get(value, key), seen)
  if (value instanceof AggregateError) keep(flat.fields, 'errors', value.errors, seen)
  if (Object.hasOwn(value, 'cause'))
    keep(flat as unknown as Record<string, unknown>, 'cause', value.cause, seen)
  return flat
}

/** Keeps what can be cloned; what cannot would cost the whole answer. */
function keep(
  target: Record<string, unknown>,
  key: string,
  value: unknown,
  seen: Map<unknown, FlatError>,
): void {
  const flat = Array.isArray(value)
    ? value.map((item) => flattenError(item, seen))
    : flattenError(value, seen)
  try {
    structuredClone(flat)
    target[key] = flat
  } catch {
    // a function, a socket: stays behind
  }
}

/** The error again; any other value is returned as it is. */
export function rebuildError(value: unknown, seen: Map<unknown, Error> = new Map()): unknown {
  if (!isFlat(value)) return reviveUncaught(value)
  const known = seen.get(value)
  if (known !== undefined) return known
  const error = emptyError(value)
  seen.set(value, error)
  for (const [key, field] of Object.entries(value.fields)) {
    const rebuilt = Array.isArray(field)
      ? field.map((item) => rebuildError(item, seen))
      : rebuildError(field, seen)
    Object.defineProperty(error, key, {
      value: rebuilt,
      writable: true,
      configurable: true,
      enumerable: true,
    })
  }
  if (error.name !== value.name) hide(error, 'name', value.name)
  if (Object.hasOwn(value, 'cause')) hide(error, 'cause', rebuildError(value.cause, seen))
  if (value.stack !== undefined) hide(error, 'stack', value.stack)
  return error
}

function isFlat(value: unknown): value is FlatError {
  return typeof value === 'object' && value !== null && (value as Partial<FlatError>).groupwalError === 1
}

function emptyError({ isOwn, name, message, fields }: FlatError): Error {
  if (isOwn) return (OWN[name] ?? OWN.GroupWalError!)(message, fields.code as GroupWalErrorCode)
  if (name === 'AggregateError') return new AggregateError([], message)
  return new (STANDARD[name] ?? Error)(message)
}

function hide(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false })
}

/** What a worker died of comes by Node's own way, which keeps the fields and loses class and brand. */
function reviveUncaught(value: unknown): unknown {
  if (!(value instanceof Error) || GroupWalError.is(value)) return value
  const { code } = value as { code?: unknown }
  if (typeof code !== 'string' || !code.startsWith('GROUPWAL_')) return value
  return rebuildError({ ...(flattenError(value) as FlatError), isOwn: true })
}
