// A second copy of the error classes, as a program has it that bundled groupwal twice.
export * from '../../src/errors.ts'
