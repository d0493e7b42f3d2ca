import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { issued, WorkRecord } from '../../src/receipts/issue.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { ghost, verifyReceipt } from '../../src/sdk/index.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import type { Work } from '../../src/wire/job.ts'
import { proofJson } from '../../src/wire/proof-file.ts'
import { type Receipt, receiptDigest } from '../../src/wire/receipt.ts'
import { v8Frame } from '../../src/wire/v8-codec.ts'
import { V8Composer } from '../../src/wire/v8-composer.ts'
import type { V8Event } from '../../src/wire/v8-event.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { modelId } from '../market/coordinator-stage.ts'
import { opened, requestId } from '../wire/vectors/v8-events.ts'

const providers = [1, 2].map((byte) => identityFromSeed(new Uint8Array(32).fill(byte)))

const work: Work = {
  kind: 'chat',
  messages: [{ role: 'user', content: 'hello' }],
  sampling: {
    ...{ temperature: 0, topP: 1, seed: 7, choices: 1, stop: [] },
    ...{ presencePenalty: 0, frequencyPenalty: 0, logitBias: [] },
  },
}

/** What one provider adds to an answer: its tokens, before some of which it drafts. */
type Part = { text: string; ids: number[]; drafted: number[]; ms: number }[]

const part: fc.Arbitrary<Part> = fc.array(
  fc.record({
    text: fc.string({ unit: 'grapheme', maxLength: 6 }),
    ids: fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 12 }),
    drafted: fc.array(fc.nat({ max: 1 }), { maxLength: 4 }),
    ms: fc.nat({ max: 600 }),
  }),
  { minLength: 1, maxLength: 12 },
)

/** So slow that nearly each piece ends a segment. */
const slow: Part = Array.from({ length: 12 }, () => ({
  ...{ text: 'Grü', ids: [0, 1, 0], drafted: [0, 0], ms: 2000 },
}))

async function* chunksOf(pieces: Part, from: number, clock: FakeClock): AsyncGenerator<Chunk> {
  yield { type: 'accepted', inputTokens: 5 }
  let index = from
  for (const { ids, text, ms } of pieces) {
    await clock.advance(ms)
    yield { type: 'tokens', choice: 0, index, ids, text }
    index += ids.length
  }
  const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: index - from }
  yield { type: 'done', finish: ['stop'], usage }
}

/** The stream of an answer of so many parts, each by another provider, and all receipts by CID. */
async function told(parts: Part[]) {
  const receipts = new Map<string, Receipt>()
  const kept = (receipt: Receipt) => {
    const cid = ryv1Cid(receiptDigest(receipt))
    receipts.set(cid, receipt)
    return cid
  }
  const { event: _, request_id: __, ...opening } = opened
  const composer = new V8Composer(requestId)
  const events: V8Event[] = composer.open(opening)
  let from = 0
  let last: Receipt | undefined
  for (const [at, pieces] of parts.entries()) {
    const identity = providers[at] as (typeof providers)[0]
    const clock = new FakeClock()
    const record = new WorkRecord(
      { identity, clock, live: new LiveReceipts({ clock }) },
      {
        ...{ jobId: `job_7.${at + 1}`, work, price: { input: 1, output: 2 } },
        promptRoot: () => new Uint8Array(32).fill(4),
        coordinator: new Uint8Array(32).fill(5),
        model: { id: modelId('test-chat'), name: 'test-chat' },
      },
    )
    const start = from
    if (at > 0) events.push(...composer.rollback({ from: start, reason: 'node_lost' }))
    const drafts = pieces.values()
    for await (const chunk of issued(chunksOf(pieces, from, clock), record)) {
      if (chunk.type === 'tokens') {
        const { drafted: ids = [] } = drafts.next().value ?? {}
        const drafter = identity.peerId
        events.push(...composer.drafts({ index: from, ids, text: '?', drafter }, 1))
        events.push(...composer.tokens(chunk))
        from += chunk.ids.length
      }
      if (chunk.type === 'segment') {
        const cid = kept(chunk.receipt)
        events.push(...composer.segment({ cid, start, end: start + chunk.end }))
      }
      if (chunk.type === 'done') last = chunk.issued?.receipt
    }
  }
  const final = last as Receipt
  const usage = { prompt_tokens: 5, completion_tokens: from, total_tokens: 5 + from }
  const receipt = {
    cid: kept(final),
    multiformats_cid: rawCid(receiptDigest(final)),
    status: 'final',
    node_id: providers[parts.length - 1]?.peerId ?? '',
    prompt_nonce: 'cc'.repeat(32),
  }
  events.push(...composer.finalize({ finish_reason: 'stop', usage, receipt }))
  return { frames: events.map(v8Frame).join(''), receipts }
}

const holds = (receipt: Receipt | undefined, answer: string) =>
  receipt !== undefined &&
  verifyReceipt(proofJson({ network: 'none', receipt, entries: [] }), { answer }).holds

/** Checks each receipt as a client does that has nothing but the stream. */
async function check(frames: string, receipts: Map<string, Receipt>, parts: number) {
  const headers = { 'content-type': 'text/event-stream' }
  const texts: string[] = []
  let segments = 0
  let committed = ''
  for await (const view of ghost(new Response(frames, { headers }))) {
    const { event } = view
    committed = view.committed
    if (event.event === 'token.commit') texts[event.id] = (texts[event.id] ?? '') + event.text
    if (event.event === 'receipt.bound') {
      const of = texts.slice(event.segment_start, event.segment_end + 1).join('')
      expect(holds(receipts.get(event.cid), of)).toBe(true)
      expect(holds(receipts.get(event.cid), `${of}!`)).toBe(false)
      segments++
    }
    if (event.event === 'token.finalize' && parts === 1) {
      expect(holds(receipts.get(event.final_cid ?? ''), committed)).toBe(true)
    }
  }
  return { segments, committed }
}

describe('the receipts of a stream', () => {
  it('are of what was shown as committed: each segment by itself, and the last of all of it', async () => {
    let segments = 0
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 2 }), async (parts) => {
        const { frames, receipts } = await told(parts)
        const checked = await check(frames, receipts, parts.length)
        const text = parts.flat().map((piece) => piece.text)
        expect(checked.committed).toBe(text.join(''))
        segments += checked.segments
      }),
      { numRuns: rounds(30, 3000), examples: [[[slow, slow]]] },
    )
    // Of the example alone: whatever the others had.
    expect(segments).toBeGreaterThanOrEqual(2 * (slow.length - 1))
  })
})
