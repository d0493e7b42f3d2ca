import fc from 'fast-check'
import { expect, it } from 'vitest'
import { proofOf } from '../../../src/api/receipts/receipt-json.ts'
import type { Chunk, Done } from '../../../src/wire/chunk.ts'
import { type Execution, openReceiptOf } from '../../../src/wire/execution.ts'
import { checkProof } from '../../../src/wire/proof.ts'
import { openReceiptHolds, receiptHolds } from '../../../src/wire/receipt.ts'
import { ResultHasher } from '../../../src/wire/result-hash.ts'
import type { Routing } from '../../../src/wire/routing.ts'
import { alices, tillStage } from '../../accounts/till-stage.ts'
import { settled } from '../../base/fake-clock.ts'
import { rounds } from '../../campaign.ts'
import { verify } from '../../receipts/feeds/stage.ts'
import { chat, frames, jobOf, NETWORK, stage } from '../coordinator-stage.ts'
import type { Line } from '../provider-line.ts'
import { idOf, type Loss, lose, losses, Writer } from './writer.ts'

/** How one attempt goes: so many frames, and then that. */
type Attempt =
  | { how: 'lost'; frames: number; loss: Loss }
  | { how: 'refused'; code: string }
  | { how: 'whole' }

interface Case {
  story: string[][]
  attempts: Attempt[]
  step: number
  held: number
  prices: { input: number; output: number }[]
  inputTokens: number
  /** The client sees guesses too, of which there are so many at a time. */
  guesses: number
  /** The client leaves after so many chunks of text. */
  leavesAfter: number | undefined
}

const token = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom('', 'é', '漢字', '👩‍🚀', '\n', '"') },
)
const price = fc.integer({ min: 0, max: 9_999 })

const attempt: fc.Arbitrary<Attempt> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      how: fc.constant('lost' as const),
      frames: fc.nat({ max: 60 }),
      loss: fc.constantFrom(...losses),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      how: fc.constant('refused' as const),
      code: fc.constantFrom('unsupported', 'invalid_resume', 'draining'),
    }),
  },
)

const PROVIDERS = 5

/** Long enough for segments; of several choices there are none. */
const story = fc.oneof(
  fc.tuple(fc.array(token, { minLength: 1, maxLength: 120, size: 'max' })),
  fc.array(fc.array(token, { minLength: 1, maxLength: 30, size: 'max' }), {
    minLength: 2,
    maxLength: 3,
  }),
)

const cases: fc.Arbitrary<Case> = fc.record({
  story,
  attempts: fc.array(attempt, { maxLength: PROVIDERS - 1 }),
  step: fc.integer({ min: 1, max: 5 }),
  held: fc.nat({ max: 6 }),
  prices: fc.array(fc.record({ input: price, output: price }), {
    minLength: PROVIDERS,
    maxLength: PROVIDERS,
  }),
  inputTokens: fc.integer({ min: 1, max: 400 }),
  guesses: fc.constantFrom(0, 2, 5),
  leavesAfter: fc.option(fc.nat({ max: 60 }), { nil: undefined, freq: 4 }),
})

async function perform(line: Line, given: Case, at: number): Promise<void> {
  const attempt = given.attempts[at] ?? { how: 'whole' }
  if (attempt.how === 'refused') {
    line.say(frames.refuse(attempt.code))
    return
  }
  const { story, step, held, inputTokens, guesses } = given
  const holdsLast = attempt.how === 'lost'
  const { maxPrice: price = { input: 0, output: 0 } } = line.job
  const writer = new Writer(line, {
    ...{ story, step, held, inputTokens, guesses, price, holdsLast },
  })
  writer.accept()
  const beats = attempt.how === 'lost' ? attempt.frames : Number.POSITIVE_INFINITY
  const hearing = hears(line)
  for (let n = 0; n < beats && writer.next(); n++) {
    if (n % 8 === 7) await settled()
    if (!line.heard.some(({ type }) => type === 'cancel')) continue
    writer.cancelled()
    return await hearing
  }
  if (attempt.how === 'lost') {
    await lose(line, attempt.loss)
    return
  }
  // What crosses with a Cancel holds.
  writer.done()
  await hearing
}

async function hears(line: Line): Promise<void> {
  while ((await line.hear().catch(() => undefined)) !== undefined);
}

/** More than any of these can cost. */
const GRANTED = 1_000_000_000_000

type Run = Awaited<ReturnType<typeof run>>

/** What the client gets, and how it ends. */
async function run(given: Case) {
  const all = await stage()
  const till = await tillStage(all, GRANTED)
  let attempts = 0
  for (const price of given.prices) {
    const script = (line: Line) => perform(line, given, attempts++)
    await all.provider({ script, model: { price, contextLength: 4_096 } })
  }
  const work = chat({ choices: given.story.length, maxTokens: 500 })
  const watched = given.guesses > 0
  const leaving = new AbortController()
  const chunks: Chunk[] = []
  const reading = (async () => {
    let texts = 0
    for await (const chunk of till.generate(jobOf({ work, watched, origin: alices() }), leaving)) {
      chunks.push(chunk)
      if (chunk.type === 'tokens' && texts++ === given.leavesAfter) leaving.abort()
    }
  })()
  const state = { ended: false, error: undefined as unknown }
  const ended = reading.then(
    () => {
      state.ended = true
    },
    (error: unknown) => {
      state.ended = true
      state.error = error
    },
  )
  while (!state.ended) await all.clock.advance(500)
  await ended
  await all.coordinator.stop()
  return { ...all, till, chunks, error: state.error }
}

/** No byte lost or doubled, however many wrote it; what came of each choice. */
function textsOf(chunks: readonly Chunk[], story: readonly (readonly string[])[]): string[] {
  const texts = story.map(() => '')
  const counts = story.map(() => 0)
  for (const chunk of chunks) {
    // Guesses are behind what is there, and what comes behind them is as if there were none.
    if (chunk.type === 'provisional') {
      expect(chunk.index).toBeGreaterThanOrEqual(counts[chunk.choice] ?? Number.NaN)
    }
    if (chunk.type === 'rollback') {
      expect(chunk.from).toBeGreaterThanOrEqual(counts[chunk.choice] ?? Number.NaN)
    }
    if (chunk.type !== 'tokens') continue
    const { choice, index, ids, text } = chunk
    expect(index).toBe(counts[choice])
    expect(ids).toEqual(ids.map((_, at) => idOf(choice, index + at)))
    counts[choice] = index + ids.length
    texts[choice] += text
  }
  return texts
}

function checkEntry(
  routing: Routing,
  executions: Execution[],
  chunks: readonly Chunk[],
  given: Case,
) {
  const done = chunks.at(-1) as Done
  const texts = textsOf(chunks, given.story)
  const { whole, parts, tokens, amount } = routing
  // It was at its end before it heard that nobody wants the rest: it is paid for what it did.
  const isCrossed = tokens.output > done.usage.outputTokens
  if (isCrossed) expect(given.leavesAfter).toBeDefined()
  else expect(tokens.output).toBe(done.usage.outputTokens)
  const hasher = new ResultHasher({ choices: texts.length })
  for (const [choice, text] of texts.entries()) hasher.text(choice, text)
  const execution = executions.find(({ receipt }) => receipt.jobId === parts.at(-1)?.jobId)
  const receipt = whole ?? execution?.receipt
  if (!isCrossed) expect(receipt?.resultHash).toEqual(hasher.digest())
  expect(receipt?.meteringUnits).toBe(Math.max(1, tokens.input + tokens.output))
  // The parts and what nobody signed are the whole.
  const signed = parts.reduce((sum, part) => sum + part.tokens.output, 0)
  if (given.leavesAfter === undefined) expect(signed).toBeLessThanOrEqual(tokens.output)
  let exact = 0n
  for (const part of parts) {
    const own = executions.find(({ receipt: each }) => each.jobId === part.jobId)
    const proved = part.receipt ?? own?.receipt
    if (proved === undefined) throw new Error('a part without a receipt')
    expect(receiptHolds(proved, verify)).toBe(true)
    if (own !== undefined) expect(openReceiptHolds(openReceiptOf(own), verify)).toBe(true)
    const input = part.execution === undefined ? 0 : part.tokens.input
    const output = part.tokens.output - part.unsignedTail
    expect(proved.meteringUnits).toBe(Math.max(1, part.tokens.input + output))
    // One that broke the protocol is not paid.
    const { outcome } = routing.attempts[Number(part.jobId.split('.').at(-1)) - 1] ?? {}
    if (outcome === 'misbehaved') expect(part.amount).toBe(0)
    else
      exact += BigInt(input) * BigInt(part.price.input) + BigInt(output) * BigInt(part.price.output)
  }
  expect(parts.reduce((sum, part) => sum + part.amount, 0)).toBe(amount)
  expect(amount).toBe(Number((exact + 999n) / 1_000n))
}

/** They are told to who watches, and taken back when their provider is lost. */
function checkGhosts(chunks: readonly Chunk[], { guesses }: Case): void {
  const ghosts = chunks.filter(({ type }) => type === 'provisional' || type === 'rollback')
  if (guesses === 0) expect(ghosts).toEqual([])
  const { resumed } = chunks.at(-1) as Done
  const losses = ghosts.filter((each) => each.type === 'rollback' && each.reason === 'node_lost')
  if (guesses > 0) expect(losses.length).toBeGreaterThanOrEqual(resumed?.times ?? 0)
}

/** Whoever asked pays what the log says, once, and has used just that. */
async function checkPayment(till: Run['till'], routings: readonly Routing[]): Promise<void> {
  const [{ amount, tokens }] = [routings[0] ?? { amount: 0, tokens: { input: 0, output: 0 } }]
  const left = GRANTED - amount
  expect(till.credits()).toEqual({ current: left, reserved: 0, available: left })
  const charges = await till.charges()
  expect(charges).toHaveLength(amount > 0 ? 1 : 0)
  for (const { reserved } of charges) expect(reserved).toBeGreaterThanOrEqual(amount)
  expect((await till.audited()).totals).toMatchObject({ owed: amount, earned: 0, borne: 0 })
  expect(await till.used()).toMatchObject({
    ...{ requests: routings.length, failed: 0, cost: amount },
    ...{ inputTokens: tokens.input, outputTokens: tokens.output },
  })
}

it('one answer comes of whatever happens to those who write it', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (given) => {
      const { chunks, error, proof, till } = await run(given)
      expect(error).toBeUndefined()
      const done = chunks.at(-1)
      if (done?.type !== 'done') throw new Error('no end')
      const texts = textsOf(chunks, given.story)
      const counted = chunks.reduce(
        (n, each) => n + (each.type === 'tokens' ? each.ids.length : 0),
        0,
      )
      expect(done.usage.outputTokens).toBe(counted)
      checkGhosts(chunks, given)
      for (const type of ['routed', 'accepted', 'done'] as const) {
        expect(chunks.filter((each) => each.type === type).length).toBeLessThanOrEqual(1)
      }
      if (given.leavesAfter === undefined) {
        expect(texts).toEqual(given.story.map((each) => each.join('')))
      }
      const bodies = await proof.bodies()
      const routings = bodies.flatMap((each) => (each.kind === 'routing' ? [each.body] : []))
      await checkPayment(till, routings)
      if (done.receipt === undefined) {
        expect(routings).toEqual([])
        return
      }
      expect(routings).toHaveLength(1)
      const view = await proof.receipts.find(done.receipt.cid)
      if (view?.receipt === undefined) throw new Error('no receipt')
      expect(view.verified).toBe(true)
      const [routing] = routings
      // Of one provider alone, its own log has the rest of the proof.
      if (routing?.whole !== undefined) {
        expect(checkProof(proofOf(view.receipt, view, NETWORK), { verify }).holds).toBe(true)
      }
      const executions = [view.execution, ...(view.parts ?? [])].flatMap((each) => each?.body ?? [])
      checkEntry(routings[0] as Routing, executions, chunks, given)
    }),
    { numRuns: rounds(60, 2_000) },
  )
})
