/**
 * Makes a function that puts the fields of these objects, and of all objects that they hold, back to what they are
 * now. Only fields with numbers, truth values, texts and undefined change in the protocol's objects, and the lists of what
 * waits, which are empty now; making the objects anew for each run would take longer than the run.
 */
export function makeRestore(roots: readonly object[]): () => void {
  const seen = new Set<object>()
  const objects: object[] = []
  const lines: string[] = []
  const values: unknown[] = []
  const visit = (object: object): void => {
    if (seen.has(object) || ArrayBuffer.isView(object) || object instanceof ArrayBuffer) return
    seen.add(object)
    if (Array.isArray(object)) {
      for (const element of object) if (typeof element === 'object' && element !== null) visit(element)
      return
    }
    const number = objects.push(object) - 1
    for (const [key, value] of Object.entries(object)) {
      if (typeof value === 'object' && value !== null) {
        if (FOREIGN.has(key)) continue
        visit(value as object)
        if (Array.isArray(value) && value.every((element) => element === undefined)) {
          const list = `v[${values.push(value) - 1}]`
          lines.push(`${list}.length = ${value.length}; ${list}.fill(undefined); o${number}.${key} = ${list}`)
        }
      } else if (typeof value !== 'function') {
        const constant = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : undefined
        lines.push(`o${number}.${key} = ${constant ?? `v[${values.push(value) - 1}]`}`)
      }
    }
  }
  for (const root of roots) visit(root)
  const names = objects.map((_, index) => `o${index} = o[${index}]`).join(', ')
  return new Function('o', 'v', `const ${names}; return () => { ${lines.join('; ')} }`)(objects, values)
}

/** Fields of the explorer itself, and of what never changes. */
const FOREIGN = new Set(['ledger', 'disk', 'fs', 'memory', 'liveness', 'clock', 'sources'])
