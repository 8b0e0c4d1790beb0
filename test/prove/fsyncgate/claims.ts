/** What is looked at in every story. */
export const CLAIMS = {
  naive: 'a naive retry of the failed sync is told OK by this kernel, and its data is gone',
  waiters:
    'every waiter (sync, batch, flush, promise) gets a CommitFailedError of its own, with outcome and cause',
  verdict:
    'all who ask for a record, flushes too, are told the same of it, and no failure when it is durable',
  durable: 'durableLsn does not move after the failure, and covers everything acknowledged',
  retry: 'nothing is retried: no frame is written twice, and the failed file is left alone',
  full: 'resume() and a new open are refused while there is no space',
  resume: 'when there is space resume() works, and commits go on',
  kept: 'every acknowledged record is there when the page cache is dropped, in order and unchanged',
  gone: 'no record declared not-written is ever returned, nor an indeterminate one after resume()',
} as const
export type Claim = keyof typeof CLAIMS
