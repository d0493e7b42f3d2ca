import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { LaterSigner, WORTH_A_THREAD } from '../../src/identity/later-signer.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(5))
const message = fc.uint8Array({ maxLength: 300 })
const numbered = (count: number) => Array.from({ length: count }, (_, n) => Uint8Array.of(n, 7))
const signatures = (messages: readonly Uint8Array[]) => messages.map((it) => identity.sign(it))

/** Its thread is another program. */
function signerWith(program: string): LaterSigner {
  const entry = join(mkdtempSync(join(tmpdir(), 'pinaivu-signer-')), 'thread.mjs')
  writeFileSync(entry, program)
  return new LaterSigner((it) => identity.sign(it), new Uint8Array(48), { entry })
}

it('gives each message its signature, however many come in a turn', () => {
  const groups = fc.array(fc.array(message, { maxLength: 4 * WORTH_A_THREAD }), { maxLength: 6 })
  return fc.assert(
    fc.asyncProperty(groups, async (turns) => {
      const signed = turns.map(async (messages) => {
        return await Promise.all(messages.map((it) => identity.signLater(it)))
      })
      expect(await Promise.all(signed)).toEqual(turns.map(signatures))
    }),
  )
})

it('needs no thread for a few', async () => {
  const signer = signerWith(
    "import { parentPort } from 'node:worker_threads'\n" +
      "parentPort.on('message', () => parentPort.postMessage(new Uint8Array(1024)))",
  )
  const few = numbered(WORTH_A_THREAD - 1)
  expect(await Promise.all(few.map((it) => signer.sign(it)))).toEqual(signatures(few))
})

it.each([
  ['ends', 'process.exit(1)'],
  ['fails', 'throw new Error("no")'],
  ['is not there', 'import "./nowhere.mjs"'],
])('signs by itself where the thread %s', async (_, program) => {
  const signer = signerWith(program)
  const many = numbered(5 * WORTH_A_THREAD)
  expect(await Promise.all(many.map((it) => signer.sign(it)))).toEqual(signatures(many))
  const later = numbered(WORTH_A_THREAD)
  expect(await Promise.all(later.map((it) => signer.sign(it)))).toEqual(signatures(later))
})
