import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { SEGMENT_TOKENS } from '../../../src/receipts/issue.ts'
import { receiptHolds } from '../../../src/wire/receipt.ts'
import type { Routing } from '../../../src/wire/routing.ts'
import { settled } from '../../base/fake-clock.ts'
import { verify } from '../../receipts/feeds/stage.ts'
import { chat, type Script, type StageOptions, stage } from '../coordinator-stage.ts'
import { idOf, type Loss, lose, losses, Writer } from './writer.ts'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())

/** One segment, and a tail that it does not cover. */
const TAIL = 8
const CUT = SEGMENT_TOKENS + TAIL
const texts = Array.from({ length: CUT + 20 }, (_, at) => `t${at} `)
const PRICE = { input: 1_001, output: 2_003 }
const writing = { story: [texts], step: 1, held: 0, price: PRICE }
const work = chat({ maxTokens: 500 })
/** The first segment of its first attempt has no head start. */
const ON_TIME = 'job_7'

const telling =
  (story: readonly string[]): Script =>
  async (line) => {
    const writer = new Writer(line, { ...writing, story: [story] })
    writer.accept()
    while (writer.next());
    writer.done()
    while ((await line.hear()) !== undefined);
  }

const whole = telling(texts)

/** So many frames, and then no more. */
const lostAfter =
  (count: number, loss: Loss): Script =>
  async (line) => {
    const writer = new Writer(line, writing)
    writer.accept()
    for (let n = 0; n < count; n++) writer.next()
    await lose(line, loss)
  }

const model = { price: PRICE }

/** Two providers, of which the first is asked first; `second` goes on. */
async function resumed(first: Script, second: Script = whole, options: StageOptions = {}) {
  const all = await stage(options)
  const bad = await all.provider({ model })
  // One that is proven goes before one that nobody knows.
  await all.collect()
  await settled()
  const before = (await all.proof.bodies()).length
  bad.lines.length = 0
  bad.script = first
  const good = await all.provider({ script: second, model })
  const routings = async (): Promise<Routing[]> => {
    const bodies = (await all.proof.bodies()).slice(before)
    return bodies.flatMap((each) => (each.kind === 'routing' ? [each.body] : []))
  }
  return { ...all, bad, good, routings }
}

describe('a provider that is lost in the middle', () => {
  it.each(losses)('%s: another goes on, and the client sees one answer', async (loss) => {
    const { collect, clock, bad, good, identity, routings, proof } = await resumed(
      lostAfter(CUT, loss),
    )
    const answer = collect({ id: ON_TIME, work })
    // A lost connection is seen at once, silence after three seconds.
    await clock.advance(loss === 'freeze' ? 3_000 : 0)
    const { text, chunks, done } = await answer
    expect(text).toBe(texts.join(''))
    const ids = chunks.flatMap((chunk) => (chunk.type === 'tokens' ? chunk.ids : []))
    expect(ids).toEqual(texts.map((_, at) => idOf(0, at)))
    expect(done).toMatchObject({
      finish: ['stop'],
      usage: { inputTokens: 5, outputTokens: texts.length },
      receipt: { status: 'final', nodeId: identity.peerId },
      resumed: { times: 1, nodes: [bad.peerId, good.peerId] },
    })
    expect(done.resumed?.route.attempts.at(-1)).toMatchObject({
      ...{ node: good.peerId, outcome: 'resumed' },
    })
    const [line] = good.lines
    expect(line?.resumes).toEqual([
      {
        choice: 0,
        text: texts.slice(0, CUT).join(''),
        ids: texts.slice(0, CUT).map((_, at) => idOf(0, at)),
      },
    ])
    const [routing, ...more] = await routings()
    if (routing?.whole === undefined) throw new Error('no whole')
    expect(more).toEqual([])
    expect(routing.whole).toMatchObject({
      resultHash: sha256(texts.join('')),
      meteringUnits: 5 + texts.length,
    })
    expect(receiptHolds(routing.whole, verify)).toBe(true)
    const paid = loss === 'misbehave' ? 0 : SEGMENT_TOKENS
    const exact = paid * PRICE.output + 5 * PRICE.input + 20 * PRICE.output
    expect(routing).toMatchObject({ verdict: 'ok', amount: Math.ceil(exact / 1_000) })
    const [lost, last] = routing.parts
    expect(lost).toMatchObject({
      tokens: { input: 5, output: CUT },
      unsignedTail: TAIL,
      receipt: { resultHash: sha256(texts.slice(0, SEGMENT_TOKENS).join('')) },
    })
    expect(last).toMatchObject({ tokens: { input: 5, output: 20 }, unsignedTail: 0 })
    expect(last?.execution).toBeDefined()
    expect((lost?.amount ?? 0) + (last?.amount ?? 0)).toBe(routing.amount)
    const view = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(view).toMatchObject({ status: 'final', verified: true })
    await settled()
    expect(line?.heard.at(-1)).toMatchObject({ type: 'ack', dispute: '' })
  })

  it('leaves receipts of which the client knows what part each is of', async () => {
    const longer = [...texts, ...texts]
    const { collect } = await resumed(lostAfter(CUT, 'reset'), telling(longer))
    const { chunks } = await collect({ id: ON_TIME, work })
    const segments = chunks.filter((chunk) => chunk.type === 'segment')
    const starts = segments.map(({ start = 0 }) => start)
    expect(starts[0]).toBe(0)
    expect(starts.slice(1)).toEqual([CUT, CUT])
    for (const { start = 0, end, receipt } of segments) {
      expect(receipt.resultHash).toEqual(sha256(longer.slice(start, start + end).join('')))
    }
  })
})
