import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { GROUP_MAX, LaterSigner, WORTH_A_THREAD } from '../../src/identity/later-signer.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(5))
const message = fc.uint8Array({ maxLength: 300 })
const numbered = (count: number) => Array.from({ length: count }, (_, n) => Uint8Array.of(n, 7))
const signatures = (messages: readonly Uint8Array[]) => messages.map((it) => identity.sign(it))

/** Its thread is another program. */
function signerWith(program: string): LaterSigner {
  const entry = join(mkdtempSync(join(tmpdir(), 'pinaivu-signer-')), 'thread.mjs')
  writeFileSync(entry, program)
  return new LaterSigner((it) => identity.sign(it), new Uint8Array(48), {
    ...{ entry, deadlineMs: 10_000, clock: systemClock },
  })
}

it('gives each message its signature, however many come in a turn', () => {
  const groups = fc.array(fc.array(message, { maxLength: GROUP_MAX + 9 }), { maxLength: 6 })
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

/** A thread that may write into a log. */
function threadIn(program: string) {
  const folder = mkdtempSync(join(tmpdir(), 'pinaivu-signer-'))
  const [entry, log] = [join(folder, 'thread.mjs'), join(folder, 'log')]
  writeFileSync(log, '')
  const lines = [
    "import { appendFileSync, readFileSync } from 'node:fs'",
    "import { parentPort } from 'node:worker_threads'",
    `const note = (text) => appendFileSync(${JSON.stringify(log)}, text)`,
    `const noted = () => readFileSync(${JSON.stringify(log)}, 'utf8')`,
  ]
  writeFileSync(entry, [...lines, program].join('\n'))
  return { entry, log }
}

/** Its first threads never say anything, those that follow sign all with zeros. */
function hanging(threads: number) {
  const { entry, log } = threadIn(`
    note('.')
    const isBad = noted().length <= ${threads}
    parentPort.on('message', ({ ends }) => {
      while (isBad);
      parentPort.postMessage(new Uint8Array(64 * ends.length))
    })`)
  const options = { entry, deadlineMs: 50, clock: systemClock }
  const signer = new LaterSigner((it) => identity.sign(it), new Uint8Array(48), options)
  return { signer, launched: () => readFileSync(log).length }
}

it('signs by itself what a thread has for too long, and has another thread then', async () => {
  const { signer } = hanging(1)
  const many = numbered(WORTH_A_THREAD)
  const first = Promise.all(many.map((it) => signer.sign(it)))
  await new Promise((resolve) => setImmediate(resolve))
  const second = Promise.all(many.map((it) => signer.sign(it)))
  expect(await first).toEqual(signatures(many))
  // The machine may be so busy that a good one takes too long as well; then its work is done here.
  const zeros = many.map(() => new Uint8Array(64))
  expect([signatures(many), zeros]).toContainEqual(await second)
})

it('gives up on threads where none of them signs', async () => {
  const { signer, launched } = hanging(1_000)
  const many = numbered(WORTH_A_THREAD)
  for (let at = 0; at < 6; at++) {
    expect(await Promise.all(many.map((it) => signer.sign(it)))).toEqual(signatures(many))
  }
  expect(launched()).toBeLessThanOrEqual(4)
})

it('does not take a thread for lost because this one was held up', async () => {
  const { entry, log } = threadIn(
    'parentPort.on("message", ({ ends }) => {' +
      'parentPort.postMessage(new Uint8Array(64 * ends.length)); note("signed ") })',
  )
  // When it is over, and no sooner.
  let due = () => {}
  const after = (_ms: number, task: () => void) => {
    due = task
    return () => {}
  }
  const signer = new LaterSigner((it) => identity.sign(it), new Uint8Array(48), {
    ...{ entry, deadlineMs: 1, clock: { ...systemClock, after } },
  })
  const many = numbered(WORTH_A_THREAD)
  const signed = Promise.all(many.map((it) => signer.sign(it)))
  await new Promise((resolve) => setImmediate(resolve))
  const until = performance.now() + 30_000
  // Its answer is there, and was not heard yet.
  while (readFileSync(log, 'utf8') === '' && performance.now() < until);
  due()
  expect(await signed).toEqual(many.map(() => new Uint8Array(64)))
})
