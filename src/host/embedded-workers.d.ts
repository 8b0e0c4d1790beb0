// Imports that only the build understands (scripts/lib/esbuild-plugin.mjs).

/**
 * The bundled, self-contained CommonJS source of `workers/<name>.ts`, ready for
 * `new Worker(source, { eval: true, execArgv: [], env: {} })`. In a dynamic import use the named export:
 * CommonJS interop wraps the default one.
 */
declare module 'groupwal:worker/*' {
  export const source: string
  export default source
}

/** The version field of package.json. */
declare module 'groupwal:version' {
  export const version: string
  export default version
}

/**
 * Where the built form of a TypeScript file is found at run time: `import url from './x.worker.ts?url'`,
 * then `new Worker(url)` or `fork(fileURLToPath(url))`.
 */
declare module '*?url' {
  export const url: URL
  export default url
}
