import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Tally } from '../../src/engines/upstream/tally.ts'
import { AnswerCheck } from '../../src/market/remote/answer-check.ts'
import { Coalescer } from '../../src/market/serve/coalescer.ts'
import type { Tokens } from '../../src/wire/chunk.ts'
import { decodeFromProvider, encodeFromProvider } from '../../src/wire/generate-codec.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { rounds } from '../campaign.ts'
import { chat } from './coordinator-stage.ts'

/** What a server sends in one event: up to 256 KB, in characters of one to four bytes. */
const event = fc.record({
  unit: fc.constantFrom('a', 'é', '漢', '😀', 'a\n'),
  bytes: fc.oneof(fc.nat(40), fc.nat(260_000)),
  /** Tokens until here, as the server counts them. */
  total: fc.option(fc.nat(3_000), { nil: undefined }),
  logprobs: fc.nat(4),
})

/** What its events come to, at the peer that asked over the network. */
function received(
  events: readonly { unit: string; bytes: number; total?: number | undefined; logprobs: number }[],
  { maxTokens, isScored }: { maxTokens: number; isScored: boolean },
) {
  const tally = new Tally({ choice: 0, tokensMax: maxTokens, isScored })
  const work = chat({ maxTokens, ...(isScored && { logprobs: 0 }) })
  const check = new AnswerCheck({ work, contextLength: 100_000, embeddingLength: 0 })
  let text = ''
  const coalescer = new Coalescer(({ index, ids, text: part, logprobs = [] }) => {
    const tool = { index: 0, name: '', callId: '' }
    const known = { choice: 0, first: index, ids, text: part, logprobs }
    const bytes = encodeFromProvider({ type: 'tokens', ...known, channel: 'content', tool })
    expect(bytes.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
    const frame = decodeFromProvider(bytes)
    if (frame?.type !== 'tokens') throw new Error('no tokens')
    text += check.tokens(frame).text
  })
  const deliver = (all: readonly Tokens[]) => {
    for (const tokens of all) coalescer.add(tokens, 0)
  }
  let sent = ''
  for (const { unit, bytes, total, logprobs } of events) {
    const said = unit.repeat(bytes / Buffer.byteLength(unit))
    sent += said
    const scored = { token: 'x', bytes: [], logprob: -1, top: [] }
    const scores = isScored ? Array.from({ length: logprobs }, () => scored) : []
    deliver(tally.add({ text: said, total, logprobs: scores }))
    if (tally.isOver) break
  }
  deliver(tally.end())
  coalescer.flush(0)
  return { sent, text, tokens: check.outputTokens, isOver: tally.isOver }
}

describe('what an upstream server sends, over the network', () => {
  it('fits into frames and into its tokens, however large its events are', () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 4 }),
        fc.record({
          maxTokens: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5_000 })),
          isScored: fc.boolean(),
        }),
        (events, asked) => {
          const { sent, text, tokens, isOver } = received(events, asked)
          expect(tokens).toBeLessThanOrEqual(asked.maxTokens)
          if (isOver) expect(sent.startsWith(text)).toBe(true)
          else expect(text === sent).toBe(true)
        },
      ),
      { numRuns: rounds(150, 6_000) },
    )
  })

  it('comes no sooner than the tokens that hold it', () => {
    const events = [{ unit: 'a', bytes: 10_562, logprobs: 0 }]
    const { text, tokens } = received(events, { maxTokens: 13, isScored: false })
    expect([text.length, tokens]).toEqual([10_562, 12])
  })

  it('is whole where there is room for it: 200 KB in one event', () => {
    const large = { unit: 'a', bytes: 200_000, total: undefined, logprobs: 0 }
    const whole = received([large], { maxTokens: 1_000, isScored: false })
    expect([whole.text.length, whole.isOver]).toEqual([200_000, false])
    // Of 100 tokens nobody believes so much; the last is for what may still come.
    const cut = received([large], { maxTokens: 100, isScored: false })
    expect([cut.text.length, cut.tokens, cut.isOver]).toEqual([99 * 1_024, 99, true])
  })
})
