import type { MessagePort, ResourceLimits } from 'node:worker_threads'
import type { OpenOptions } from '../../../src/index.ts'
import type { TrapData } from '../../support/step-traps.ts'

export interface HostData {
  words: Int32Array
  /** For the committer and the keeper. */
  traps: { committer: TrapData; keeper: TrapData }
  resourceLimits: ResourceLimits | undefined
}

/** Words that the driver looks at, and changes. */
export const HOST_WORDS = { blocked: 0, gate: 1, count: 2 }

export type Block = 'waits' | 'spins'
/** A thread by the number that its driver gave it, or an internal worker. */
export type Target = number | 'committer' | 'keeper'

export interface HostCalls {
  open(directory: string, options: OpenOptions): unknown
  startActor(
    id: number,
    port: MessagePort,
    traps: TrapData | undefined,
    limits: ResourceLimits | undefined,
  ): void
  terminate(target: Target, block: Block | undefined): number
  block(block: Block): void
  startAgain(name: 'committer' | 'keeper'): Promise<number>
  /** Resolves when the keeper has answered, or has ended. */
  drop(beforeLsn: number): Promise<void>
  stats(): unknown
  content(): Map<number, string>
  threadIds(): unknown
  close(): Promise<void>
}

export interface HostRequest {
  id: number
  method: keyof HostCalls
  args: unknown[]
}
