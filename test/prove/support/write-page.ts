// Makes docs/verification.md anew: `node scripts/run.mjs test/prove/support/write-page.ts`

import { readFileSync, writeFileSync } from 'node:fs'
import { renderPage } from './page.ts'

writeFileSync('docs/verification.md', renderPage(JSON.parse(readFileSync('docs/verification.json', 'utf8'))))
