import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { issued, WorkRecord } from '../../src/receipts/issue.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { type GhostView, ghost } from '../../src/sdk/index.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import type { Job, Sampling } from '../../src/wire/job.ts'
import { type Receipt, receiptDigest } from '../../src/wire/receipt.ts'
import { sha256 } from '../../src/wire/sha256.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import {
  anyDrafters,
  anySetUp,
  draftersOf,
  setUpOf,
  textsOf,
} from '../engines/llama/any-drafters.ts'
import { greedy } from '../engines/llama/core-harness.ts'
import { END } from '../engines/llama/fake-llama.ts'
import { type Answer, type Asked, FakeEngine } from '../engines/llama/speculating.ts'
import { modelId } from '../market/coordinator-stage.ts'
import { startTestApi, type TestApi } from './openai-server.ts'
import { NODE_ID } from './scripted-market.ts'

// The engine's own loop over a fake llama.cpp, with any drafters; what it says is signed as ever, sent as a
// v8 stream by the real server, and read by `ghost()`.

const identity = identityFromSeed(new Uint8Array(32).fill(3))

const anyAnswer: fc.Arbitrary<Asked> = fc.record({
  prompt: fc.array(fc.nat({ max: END - 1 }), { minLength: 1, maxLength: 40 }),
  sampling: fc
    .record({
      temperature: fc.constantFrom(0, 0.7, 1.5),
      seed: fc.nat(),
      maxTokens: fc.integer({ min: 1, max: 100 }),
      stop: fc.uniqueArray(fc.constantFrom('ab', 'b the', ' is', '\u20ac', 'abab'), {
        maxLength: 2,
      }),
    })
    .map((drawn): Sampling => ({ ...greedy, logprobs: 0, ...drawn })),
  watched: fc.constant(true),
})

/** What the market tells of this answer: each part of it is signed, and each drafter has a peer id. */
async function* told({ chunks }: Answer, { id, work }: Job, signed: (receipt: Receipt) => void) {
  const clock = new FakeClock()
  const record = new WorkRecord(
    { identity, clock, live: new LiveReceipts({ clock }) },
    {
      ...{ jobId: `${id}.1`, work, promptRoot: () => new Uint8Array(32) },
      ...{ coordinator: identity.publicKey, model: { id: modelId('m'), name: 'm' } },
      price: { input: 0, output: 0 },
    },
  )
  async function* all(): AsyncGenerator<Chunk> {
    yield { type: 'accepted', inputTokens: 1 }
    yield* chunks
  }
  for await (const chunk of issued(all(), record)) {
    if (chunk.type === 'provisional') yield { ...chunk, drafter: NODE_ID }
    else if (chunk.type !== 'done' || chunk.issued === undefined) yield chunk
    else {
      const { receipt } = chunk.issued
      signed(receipt)
      const digest = receiptDigest(receipt)
      const cids = { cid: ryv1Cid(digest), multiformatsCid: rawCid(digest) }
      const whole = { ...cids, status: 'final', nodeId: NODE_ID, promptNonce: '00' } as const
      yield { ...chunk, receipt: { ...whole, promptNonce: 'ab'.repeat(32) } }
    }
  }
}

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

it('comes to the bytes that its receipt is of, whoever drafts', async () => {
  await fc.assert(
    fc.asyncProperty(anyAnswer, anyDrafters, anySetUp, fc.nat({ max: 60 }), async (...drawn) => {
      const [asked, kinds, how, calls] = drawn
      const plain = await new FakeEngine().run([asked])
      const drafters = draftersOf(kinds, () => textsOf([asked], plain), calls)
      const [answer] = await new FakeEngine({ ...setUpOf(how), drafters }).run([asked])
      let receipt: Receipt | undefined
      api.engine.script = (job) =>
        told(answer as Answer, job, (each) => {
          receipt = each
        })
      const body = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }] }
      const v8 = { ...body, stream: true, stream_mode: 'v8' }
      const views: GhostView[] = []
      for await (const view of ghost(await api.post('/v1/chat/completions', v8))) views.push(view)
      const { committed, isDone, event, tokens } = views.at(-1) as GhostView
      expect(isDone).toBe(true)
      expect(committed).toBe(plain[0]?.choices[0]?.text)
      expect(receipt?.resultHash).toEqual(sha256(new TextEncoder().encode(committed)))
      if (event.event !== 'token.finalize') throw new Error(event.event)
      expect(event.final_cid).toBe(ryv1Cid(receiptDigest(receipt as Receipt)))
      expect(event.usage.completion_tokens).toBe(answer?.done.usage.outputTokens)
      expect(event.tokens_rolled_back).toBe(tokens.rolledBack)
    }),
    { numRuns: rounds(60, 1_000) },
  )
})
