import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ApiDocument, typeTexts } from './type-text.ts'
import { startWholePeer } from './whole-peer.ts'

const root = join(import.meta.dirname, '../..')

function formatted(texts: ReadonlyMap<string, string>): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'pinaivu-types-'))
  const place = (file: string) => join(folder, `${file}.ts`)
  try {
    for (const [file, text] of texts) writeFileSync(place(file), text)
    const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
    const args = ['format', '--write', `--config-path=${root}`, folder]
    execFileSync(process.execPath, [biome, ...args], { stdio: 'pipe' })
    return new Map([...texts.keys()].map((file) => [file, readFileSync(place(file), 'utf8')]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the types of the SDK', () => {
  // After a route has changed: `npx vitest run test/sdk/types.test.ts -u` writes them anew.
  it('are those of the routes', async () => {
    const { peer } = await startWholePeer()
    const answer = await fetch(`${peer.ready().http}/api/v1/openapi.json`)
    const texts = formatted(typeTexts((await answer.json()) as ApiDocument))
    for (const [file, text] of texts) {
      await expect(text).toMatchFileSnapshot(join(root, `src/sdk/types/${file}.ts`))
    }
  })
})
