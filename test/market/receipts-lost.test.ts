import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { SEGMENT_TOKENS } from '../../src/receipts/issue.ts'
import type { ReceiptView } from '../../src/receipts/view.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { ryv1Cid } from '../../src/wire/cid.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import { checkProof } from '../../src/wire/proof.ts'
import { receiptDigest, receiptHolds } from '../../src/wire/receipt.ts'
import type { Routing } from '../../src/wire/routing.ts'
import { settled } from '../base/fake-clock.ts'
import { verify } from '../receipts/feeds/stage.ts'
import {
  chat,
  frames,
  jobOf,
  NETWORK,
  type Script,
  type StageOptions,
  stage,
} from './coordinator-stage.ts'
import type { Line } from './provider-line.ts'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())
const never = () => new Promise<void>(() => {})

const PRICE = { input: 1_000, output: 2_000 }
/** One segment, and a tail that it does not cover. */
const TAIL = 8
const TOKENS = SEGMENT_TOKENS + TAIL
const texts = Array.from({ length: TOKENS }, (_, at) => `t${at} `)
const TEXT = texts.join('')
/** The first segment of its first attempt has no head start. */
const ON_TIME = 'job_7'

const accept = { ...frames.accept(), price: PRICE } as FromProvider

/** Writes as a provider does: its segments among the tokens. */
function write(line: Line, count = TOKENS): void {
  line.say(accept, frames.progress())
  for (let at = 0; at < count; at++) {
    line.sayTokens(frames.tokens(at, [texts[at] ?? '']))
  }
}

const ways: [how: string, word: string, end: (line: Line) => void | Promise<void>][] = [
  ['resets the stream', 'broken', (line) => line.stream.reset(new Error('Gone.'))],
  ['ends its part', 'broken', () => {}],
  ['says nothing any more', 'silent', never],
  ['says that it broke', 'failed', (line) => line.say(frames.failed('engine_failed'))],
  ['stops by itself', 'failed', (line) => line.say(frames.done(TOKENS, cancelled))],
  ['breaks the protocol', 'misbehaved', (line) => line.say(frames.tokens(0, ['again']))],
]
const cancelled: { finish: 'cancelled'[] } = { finish: ['cancelled'] }

async function lone(script: Script, options: StageOptions = {}) {
  const all = await stage(options)
  // It is back at once, but can't go on with what it began.
  const once: Script = async (line) => {
    if (line.resumes.length === 0) await script(line)
    else line.say(frames.refuse('unsupported'))
  }
  await all.provider({ script: once, model: { price: PRICE } })
  const routing = async (): Promise<Routing> => {
    const bodies = await all.proof.bodies()
    const [first] = bodies
    if (bodies.length !== 1 || first?.kind !== 'routing') throw new Error('not one routing')
    return first.body
  }
  return { ...all, routing }
}

/** Whether a file with this receipt and its routing entry proves it. */
function holds(view: ReceiptView | undefined): boolean {
  const { receipt, routing } = view ?? {}
  const { proof, index, bytes } = routing ?? {}
  if (receipt === undefined || bytes === undefined || index === undefined) return false
  const entries = proof === undefined ? [] : [{ entry: bytes, index, ...proof }]
  return (
    entries.length === 1 && checkProof({ network: NETWORK, receipt, entries }, { verify }).holds
  )
}

describe('of a provider that is lost in the middle', () => {
  it.each(ways)('and %s, what came is in the log', async (_how, word, end) => {
    const { coordinator, clock, identity, proof, routing } = await lone(async (line) => {
      write(line)
      await settled()
      await end(line)
    })
    const origin = { requestId: 'req_1', account: 'acct_1', endpoint: '/v1/x' }
    const job = jobOf({ id: ON_TIME, work: chat({ maxTokens: 500 }), origin })
    let openCid: string | undefined
    let text = ''
    const reading = (async () => {
      for await (const chunk of coordinator.generate(job, new AbortController())) {
        if (chunk.type === 'routed') openCid = chunk.openCid
        if (chunk.type === 'tokens') text += chunk.text
      }
    })()
    // By when the client hears of it, it is on the disk.
    const heard = expect(
      reading.catch(async (error) => {
        expect(await proof.bodies()).toHaveLength(1)
        throw error
      }),
    ).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(3_100)
    await heard
    expect(text).toBe(TEXT)
    const body = await routing()
    const paid = word === 'misbehaved' ? 0 : (SEGMENT_TOKENS * PRICE.output) / 1_000
    expect(body).toMatchObject({
      ...{ verdict: 'dispute', dispute: word, count: 'bounded' },
      tokens: { input: 5, cached: 0, output: TOKENS },
      amount: paid,
      parts: [{ jobId: `${job.id}.1`, unsignedTail: TAIL, amount: paid, owedTotal: paid }],
    })
    expect(body.attempts[0]).toMatchObject({ outcome: word })
    const [part] = body.parts
    const segment = part?.receipt
    if (segment === undefined || body.whole === undefined) throw new Error('no receipts')
    expect(segment).toMatchObject({
      jobId: `${job.id}.1#${SEGMENT_TOKENS - 1}`,
      resultHash: sha256(texts.slice(0, SEGMENT_TOKENS).join('')),
      meteringUnits: 5 + SEGMENT_TOKENS,
    })
    expect(body.whole).toMatchObject({
      ...{ jobId: job.id, nodePk: identity.publicKey },
      resultHash: sha256(TEXT),
      meteringUnits: 5 + TOKENS,
    })
    for (const receipt of [segment, body.whole]) expect(receiptHolds(receipt, verify)).toBe(true)
    // By every name that anybody has of it.
    const finalCid = ryv1Cid(receiptDigest(body.whole))
    expect(await proof.receipts.find(finalCid)).toMatchObject({ status: 'final', verified: true })
    expect(await proof.receipts.find(openCid ?? '')).toMatchObject({ status: 'open', finalCid })
    const covered = await proof.receipts.find(ryv1Cid(receiptDigest(segment)))
    expect(covered).toMatchObject({ status: 'segment', verified: true, finalCid })
    const mine = await proof.receipts.ofRequest('req_1', 'acct_1')
    expect(mine?.cid).toBe(finalCid)
    // And to anybody who has nothing but a file.
    for (const view of [covered, mine]) expect(holds(view)).toBe(true)
  })

  it.each([
    ['says what it has done', 'ok'],
    ['says nothing to that either', 'late'],
  ])('because its time is over, and %s, that is in the log', async (_how, end) => {
    const { collect, clock, routing } = await lone(
      async (line) => {
        write(line)
        const beat = () => {
          line.say(frames.progress())
          cancelBeat = clock.after(500, beat)
        }
        let cancelBeat = clock.after(500, beat)
        await line.hear()
        cancelBeat()
        if (end === 'ok') line.say(frames.done(TOKENS, cancelled))
        while ((await line.hear()) !== undefined);
      },
      { totalMs: 10_000 },
    )
    const late = expect(
      collect({ id: ON_TIME, work: chat({ maxTokens: 500 }) }),
    ).rejects.toMatchObject({
      code: 'deadline_exceeded',
    })
    await clock.advance(12_000)
    await late
    const { verdict, dispute, tokens, parts } = await routing()
    expect({ end: dispute ?? verdict, tokens }).toMatchObject({ end, tokens: { output: TOKENS } })
    expect(parts[0]?.unsignedTail).toBe(end === 'ok' ? 0 : TAIL)
  })

  it('before it signed anything, the coordinator’s own receipt tells', async () => {
    const { collect, clock, routing } = await lone(async (line) => write(line, 3))
    await expect(collect()).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(0)
    const body = await routing()
    expect(body).toMatchObject({ verdict: 'dispute', dispute: 'broken', parts: [], amount: 0 })
    expect(body.whole?.resultHash).toEqual(sha256('t0 t1 t2 '))
  })

  it.each([
    ['of another text', { resultHash: new Uint8Array(32).fill(7) }],
    ['of another key', { signature: new Uint8Array(64).fill(7) }],
  ])('that signed a segment %s, nothing is signed, and nothing paid', async (_what, wrong) => {
    const { collect, clock, routing } = await lone(async (line) => {
      line.say(accept, frames.progress())
      line.sayTokens(frames.tokens(0, ['what was sent']))
      const segment = { end: 1, units: 6, resultHash: sha256('what was sent') }
      line.say({ type: 'segment', ...segment, signature: new Uint8Array(64), ...wrong })
    })
    await expect(collect()).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(0)
    expect(await routing()).toMatchObject({ verdict: 'dispute', parts: [], amount: 0 })
  })

  it('before its first token, there is nothing to tell', async () => {
    const { collect, clock, proof } = await lone(async (line) => line.say(accept))
    const refused = expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    await clock.advance(10_000)
    await refused
    expect(await proof.bodies()).toEqual([])
  })
})

describe('of an answer that the client left', () => {
  const left = async (script: Script) => {
    const all = await lone(script)
    const { coordinator, clock } = all
    const leaving = new AbortController()
    let last: Chunk | undefined
    let count = 0
    const work = chat({ maxTokens: 500 })
    for await (const chunk of coordinator.generate(jobOf({ id: ON_TIME, work }), leaving)) {
      last = chunk
      if (chunk.type === 'tokens' && ++count === TOKENS) {
        leaving.abort()
        void clock.advance(1_100)
      }
    }
    await settled()
    if (last?.type !== 'done') throw new Error('no done')
    return { ...all, done: last }
  }

  it('the provider’s receipt is in the log', async () => {
    const { done, routing, identity } = await left(async (line) => {
      write(line)
      await line.hear()
      line.say(frames.done(TOKENS, cancelled))
      while ((await line.hear()) !== undefined);
    })
    const body = await routing()
    const amount = (5 * PRICE.input + TOKENS * PRICE.output) / 1_000
    expect(body).toMatchObject({ verdict: 'ok', amount, parts: [{ unsignedTail: 0, amount }] })
    expect(body.parts[0]?.execution).toBeDefined()
    expect(done.receipt?.status).toBe('partial')
    expect(done.receipt?.nodeId).not.toBe(identity.peerId)
  })

  const endings: [how: string, word: string, script: Script][] = [
    ['says nothing to that', 'silent', never],
    ['is gone', 'silent', async (line) => line.stream.reset(new Error('Gone.'))],
    ['breaks down at it', 'failed', async (line) => line.say(frames.failed('engine_failed'))],
  ]

  it.each(endings)('and whose provider %s, what came is', async (_how, word, end) => {
    const { done, routing, identity } = await left(async (line) => {
      write(line)
      await line.hear()
      await end(line)
    })
    const body = await routing()
    expect(body).toMatchObject({
      ...{ verdict: 'dispute', dispute: word },
      parts: [{ unsignedTail: TAIL, amount: (SEGMENT_TOKENS * PRICE.output) / 1_000 }],
    })
    expect(body.whole?.resultHash).toEqual(sha256(TEXT))
    expect(done).toMatchObject({
      finish: ['cancelled'],
      receipt: { status: 'partial', nodeId: identity.peerId },
    })
  })

  it('without a word, what came is, and whoever stops waits for it', async () => {
    const { coordinator, clock, routing, proof } = await lone(async (line) => {
      write(line)
      await never()
    })
    let count = 0
    const work = chat({ maxTokens: 500 })
    for await (const { type } of coordinator.generate(
      jobOf({ id: ON_TIME, work }),
      new AbortController(),
    )) {
      if (type === 'tokens' && ++count === TOKENS) break
    }
    expect(await proof.bodies()).toEqual([])
    const stopping = coordinator.stop()
    await clock.advance(1_100)
    await stopping
    expect(await routing()).toMatchObject({ dispute: 'silent', parts: [{ unsignedTail: TAIL }] })
  })
})
