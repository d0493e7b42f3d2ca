import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GhostView, ghost, verifyReceipt } from '../../src/sdk/index.ts'
import { rounds } from '../campaign.ts'
import { ask, type PeerProcess, startPeer } from './peer-process.ts'

const path = '/v1/chat/completions'

/** Long enough for a receipt in the middle. */
const counting = { question: 'Count from one to twenty.', temperature: 0, seed: 1 }

/** The demo model has learned these: no rounding makes another word of its answers likelier. */
const learned = [counting.question, 'What is a peer?', 'Hello']

const anyRequest = fc.record({
  question: fc.oneof(
    fc.constantFrom(...learned),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  ),
  temperature: fc.constantFrom(0, 0.7, 1, 2),
  seed: fc.nat({ max: 2 ** 31 }),
})

type Asked = typeof counting

const bodyOf = ({ question, ...sampling }: Asked): object => ({
  model: 'pinaivu-demo',
  messages: [{ role: 'user', content: question }],
  max_tokens: 64,
  ...sampling,
})

describe('a stream whose drafts are shown, of a real peer', () => {
  let peer: PeerProcess
  beforeAll(async () => {
    peer = await startPeer()
  })
  afterAll(async () => {
    await peer.stop()
  })

  const holds = async (cid: string | null, answer: string): Promise<boolean> => {
    const receipt = await (await ask(peer.ready, `/v8/receipts/${cid}`)).json()
    return verifyReceipt(receipt, { answer }).holds
  }

  /** The last view, and how many receipts came before. */
  async function watched(asked: Asked): Promise<{ last: GhostView; segments: number }> {
    const body = { ...bodyOf(asked), stream: true, stream_mode: 'v8' }
    const texts: string[] = []
    let last: GhostView | undefined
    let segments = 0
    for await (const view of ghost(await ask(peer.ready, path, body))) {
      const { event, committed } = view
      expect(committed.startsWith(last?.committed ?? '')).toBe(true)
      last = view
      if (event.event === 'token.commit') texts[event.id] = (texts[event.id] ?? '') + event.text
      if (event.event !== 'receipt.bound') continue
      const { cid, segment_start: start, segment_end: end } = event
      expect(await holds(cid, texts.slice(start, end + 1).join(''))).toBe(true)
      segments++
    }
    if (last === undefined) throw new Error('nothing came')
    return { last, segments }
  }

  it('comes to the text of the answer without drafts, and its receipts hold over that', async () => {
    let segments = 0
    await fc.assert(
      fc.asyncProperty(anyRequest, async (asked) => {
        const seen = await watched(asked)
        const { event, committed, isDone, opened, tokens } = seen.last
        segments += seen.segments
        expect({ isDone, ghost: seen.last.ghost }).toEqual({ isDone: true, ghost: '' })
        expect(opened).toMatchObject({ model: 'pinaivu-demo', node: { id: peer.ready.peerId } })
        if (event.event !== 'token.finalize') throw new Error(event.event)
        expect(tokens.rolledBack).toBe(event.tokens_rolled_back)
        expect(await holds(event.final_cid, committed)).toBe(true)
        expect(await holds(event.final_cid, `${committed}.`)).toBe(false)
        if (asked.temperature > 0 || !learned.includes(asked.question)) return
        const plain = await (await ask(peer.ready, path, bodyOf(asked))).json()
        expect(committed).toBe(plain.choices[0].message.content)
        expect(event.usage.completion_tokens).toBe(plain.usage.completion_tokens)
      }),
      { numRuns: rounds(2, 1_000), examples: [[counting]] },
    )
    expect(segments).toBeGreaterThan(0)
  })
})
