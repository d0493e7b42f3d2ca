import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { vectorFiles } from './vectors/files.ts'

// `node test/wire/make-vectors.ts` in the project's folder, after a change that is meant to change
// bytes. Such a change breaks peers that are out there: what was released is only added to.

for (const [path, text] of vectorFiles()) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  process.stdout.write(`${path}: ${text.length} bytes\n`)
}
