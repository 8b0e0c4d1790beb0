import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Change, copySource } from '../../support/mutate.ts'

/** No commit is followed by a sync call, and none is written with O_DSYNC. Segments are still made durable. */
const CHANGES: Change[] = [
  {
    name: 'no sync call after a write',
    file: 'src/storage/sync-method.ts',
    find: `return method !== 'dsync'`,
    replace: 'return method === undefined',
  },
  {
    name: 'no O_DSYNC',
    file: 'src/storage/sync-method.ts',
    find: 'dsync === undefined ? undefined : direct | dsync',
    replace: 'dsync === undefined ? undefined : direct',
  },
]

/** Builds a host from a copy of the source in which commits are not synced. The caller removes `root`. */
export async function buildUnsyncedHost(): Promise<{ root: string; script: string }> {
  const root = copySource(...CHANGES)
  // The copy's own build, which takes the copy's source, embedded workers included.
  const builder = (await import(pathToFileURL(join(root, 'scripts/lib/esbuild-plugin.mjs')).href)) as {
    StandaloneBuild: new (outDir: string) => { build(entry: string): Promise<string> }
  }
  const build = new builder.StandaloneBuild(join(root, 'built'))
  return { root, script: await build.build(join(root, 'test/prove/power-cuts/host.child.ts')) }
}
