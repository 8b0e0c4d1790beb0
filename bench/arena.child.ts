// A process of its own for each subject, so that CPU time and memory are its own, and a peer that crashes ends alone.

import type { ArenaReply, ArenaRequest } from './arena.ts'
import { Crew } from './crew.ts'
import { runTask } from './tasks.ts'

let crew: Crew | undefined

process.on('message', (request: ArenaRequest) => {
  void answer(request).then(
    (reply) => process.send!(reply),
    (error: unknown) => process.send!({ kind: 'error', message: messageOf(error) } satisfies ArenaReply),
  )
})
// The benchmark was ended: so is what it measures.
process.on('disconnect', () => process.exit(1))

async function answer(request: ArenaRequest): Promise<ArenaReply> {
  if (request.kind === 'open') {
    crew = await Crew.start(request.subject, request.options, request.loads)
    return { kind: 'done', value: undefined }
  }
  if (request.kind === 'run') return { kind: 'done', value: await crew!.run(request.warmUpMs, request.runMs) }
  if (request.kind === 'task') return { kind: 'done', value: await runTask(request.name, request.data) }
  await crew?.close()
  return { kind: 'done', value: undefined }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
