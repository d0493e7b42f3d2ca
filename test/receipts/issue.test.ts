import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { AnswerHash } from '../../src/receipts/answer-hash.ts'
import {
  issued,
  SEGMENT_HEAD_STARTS,
  SEGMENT_MS,
  SEGMENT_TOKENS,
  type WorkCommission,
  WorkRecord,
} from '../../src/receipts/issue.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import type { Chunk, Done, Issued } from '../../src/wire/chunk.ts'
import { parseCid } from '../../src/wire/cid.ts'
import { readBody } from '../../src/wire/entry.ts'
import type { Sampling, Work } from '../../src/wire/job.ts'
import { openReceiptHolds, receiptHolds } from '../../src/wire/receipt.ts'
import { vectorsHash } from '../../src/wire/result-hash.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { modelId } from '../market/coordinator-stage.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(1))
const verify = createVerifyNative()
const sampling: Sampling = {
  temperature: 0,
  topP: 1,
  seed: 7,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}
const chat = (choices = 1): Work => ({
  kind: 'chat',
  messages: [{ role: 'user', content: 'hello' }],
  sampling: { ...sampling, choices },
})
const embedding: Work = { kind: 'embedding', inputs: ['a', 'b', 'c'] }

const commission = (work: Work, jobId = 'job_7.1'): WorkCommission => ({
  jobId,
  work,
  promptRoot: () => new Uint8Array(32).fill(4),
  coordinator: new Uint8Array(32).fill(5),
  model: { id: modelId('test-chat'), name: 'test-chat' },
  price: { input: 1, output: 2 },
})

const usage = (outputTokens: number) => ({ inputTokens: 5, cachedTokens: 2, outputTokens })
const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())

function stage(work = chat(), jobId?: string) {
  const clock = new FakeClock()
  const live = new LiveReceipts({ clock })
  const components = { identity, clock, live }
  const record = new WorkRecord(components, commission(work, jobId))
  let end = 0
  return {
    ...{ clock, live, components, record },
    /** As whoever reads its CID in an answer's head is shown it. */
    openOf: (chunk: Chunk | undefined) =>
      chunk?.type === 'accepted' && chunk.openCid !== undefined
        ? live.get(parseCid(chunk.openCid).digest)?.open
        : undefined,
    say(text: string, count = 1) {
      end += count
      return record.tokens({ choice: 0, ids: Array(count).fill(0), text })
    },
    seal: (finish: Done['finish'] = ['stop'], received?: number[]) => {
      const outputTokens = received?.[0] ?? end
      return record.sealed({ type: 'done', finish, usage: usage(outputTokens) }, received)
    },
  }
}

async function through(work: Work, chunks: Chunk[], { components } = stage()): Promise<Chunk[]> {
  async function* given() {
    yield* chunks
  }
  const record = new WorkRecord(components, commission(work))
  const all: Chunk[] = []
  for await (const chunk of issued(given(), record)) all.push(chunk)
  return all
}

const lastOf = (chunks: Chunk[]): Done => chunks.at(-1) as Done

function bodyOf({ execution }: Issued) {
  const read = readBody(execution.entry)
  if (read?.kind !== 'execution') throw new Error('no execution')
  return read.body
}

/** The text, cut into chunks of whole characters. */
const cutText = fc.array(fc.string({ unit: 'binary', maxLength: 6 }), { maxLength: 80 })

describe('an answer', () => {
  it('that comes to no end has a receipt over what was handed over', async () => {
    const { record, say } = stage()
    record.open(5)
    expect(await record.left()).toBeUndefined()
    say('Hel', 1)
    say('lo', 2)
    const done = await record.left()
    expect(done).toMatchObject({
      finish: ['cancelled'],
      usage: { inputTokens: 5, outputTokens: 3 },
    })
    expect(done?.issued?.receipt).toMatchObject({ meteringUnits: 8, resultHash: sha256('Hello') })
    expect(bodyOf(done?.issued as Issued)).toMatchObject({ finish: ['cancelled'] })
  })

  it('has an open receipt, a final one and an entry, all of which hold', async () => {
    const work = stage()
    const said: Chunk[] = [
      { type: 'accepted', inputTokens: 5 },
      { type: 'tokens', choice: 0, index: 0, ids: [1, 2], text: 'Hello' },
      { type: 'done', finish: ['stop'], usage: usage(2) },
    ]
    const chunks = await through(chat(), said, work)
    expect(chunks.map(({ type }) => type)).toEqual(['accepted', 'tokens', 'done'])
    const open = work.openOf(chunks[0])
    expect(open && openReceiptHolds(open, verify)).toBe(true)
    expect(open).toMatchObject({ jobId: 'job_7.1', inputTokens: 5 })
    const given = lastOf(chunks).issued as Issued
    expect(receiptHolds(given.receipt, verify)).toBe(true)
    expect(given.receipt).toMatchObject({ meteringUnits: 7, resultHash: sha256('Hello') })
    expect(bodyOf(given)).toMatchObject({
      receipt: given.receipt,
      open: { inputTokens: 5, promptRoot: open?.promptRoot },
      tokens: { input: 5, cached: 2, output: 2 },
      price: { input: 1, output: 2 },
      work: 'chat',
      finish: ['stop'],
      segments: [],
    })
  })

  it('signs that it began only when somebody asks, and once', async () => {
    const work = stage()
    let signatures = 0
    const sign = (message: Uint8Array) => {
      signatures++
      return identity.sign(message)
    }
    const signLater = async (message: Uint8Array) => sign(message)
    const counting = { publicKey: identity.publicKey, sign, signLater }
    const components = { ...work.components, identity: counting }
    const record = new WorkRecord(components, commission(chat()))
    const { digest } = parseCid(record.begun(5))
    expect(signatures).toBe(0)
    const { open } = work.live.get(digest) ?? {}
    expect(open && openReceiptHolds(open, verify)).toBe(true)
    expect(record.open(5)).toBe(open)
    expect(signatures).toBe(1)
    record.tokens({ choice: 0, ids: [1], text: 'a' })
    const done = await record.ended({ type: 'done', finish: ['stop'], usage: usage(1) })
    expect(signatures).toBe(2)
    expect(bodyOf(done.issued as Issued).open.signature).toEqual(open?.signature)
  })

  it('has the hash of its text, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(cutText, async (texts) => {
        const chunks: Chunk[] = [{ type: 'accepted', inputTokens: 5 }]
        for (const [index, text] of texts.entries()) {
          chunks.push({ type: 'tokens', choice: 0, index, ids: [0], text })
        }
        chunks.push({ type: 'done', finish: ['stop'], usage: usage(texts.length) })
        const { issued: given } = lastOf(await through(chat(), chunks))
        expect(given?.receipt.resultHash).toEqual(sha256(texts.join('')))
      }),
    )
  })

  it('that was cut has the hash of what counts, wherever a piece ends', () => {
    fc.assert(
      fc.property(cutText, fc.nat(), (texts, cut) => {
        const hash = new AnswerHash(chat())
        for (const text of texts) hash.tokens({ choice: 0, ids: [0, 0], text })
        const count = cut % (texts.length + 1)
        const expected = sha256(texts.slice(0, count).join(''))
        expect(hash.digestOf([2 * count])).toEqual(expected)
        expect(hash.digestOf([2 * count + 1])).toBeUndefined()
      }),
    )
  })

  it('of several choices is the same in whatever order they come', async () => {
    const tokens = (choice: number, index: number, text: string): Chunk => ({
      type: 'tokens',
      ...{ choice, index, ids: [0], text },
    })
    const hashOf = async (middle: Chunk[]) => {
      const done: Done = { type: 'done', finish: ['stop', 'stop'], usage: usage(3) }
      const all = await through(chat(2), [{ type: 'accepted', inputTokens: 5 }, ...middle, done])
      return lastOf(all).issued?.receipt.resultHash
    }
    const [a, b, c] = [tokens(0, 0, 'a'), tokens(1, 0, 'b'), tokens(0, 1, 'c')]
    expect(await hashOf([a, b, c])).toEqual(await hashOf([b, a, c]))
    expect(await hashOf([a, b, c])).not.toEqual(await hashOf([a, tokens(1, 0, 'bc')]))
  })

  it('of vectors has the hash of all in the order of the inputs', async () => {
    const vectors = [1, 2, 3].map((n) => Float32Array.of(n, -n))
    const chunks: Chunk[] = [{ type: 'accepted', inputTokens: 3 }]
    for (const first of [2, 0, 1]) {
      chunks.push({ type: 'vectors', first, vectors: vectors.slice(first, first + 1) })
    }
    chunks.push({ type: 'done', finish: [], usage: { ...usage(0), inputTokens: 3 } })
    const { issued: given } = lastOf(await through(embedding, chunks))
    expect(given?.receipt.resultHash).toEqual(vectorsHash(vectors))
    expect(given?.receipt.meteringUnits).toBe(3)
  })

  it('that was cancelled counts what was handed over', async () => {
    const chunks = await through(chat(), [
      { type: 'accepted', inputTokens: 5 },
      { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'Hel' },
      { type: 'done', finish: ['cancelled'], usage: usage(9) },
    ])
    const { issued: given, usage: counted } = lastOf(chunks)
    expect(counted.outputTokens).toBe(1)
    expect(given?.receipt).toMatchObject({ meteringUnits: 6, resultHash: sha256('Hel') })
    expect(given && bodyOf(given).finish).toEqual(['cancelled'])
  })

  it('that was never begun has no receipt', async () => {
    const done: Done = {
      type: 'done',
      finish: ['cancelled'],
      usage: { ...usage(0), inputTokens: 0 },
    }
    expect(lastOf(await through(chat(), [done])).issued).toBeUndefined()
  })
})

describe('segments', () => {
  it('come every so many tokens, each a receipt of what came until then', () => {
    const { record, say, seal } = stage()
    record.open(5)
    let text = ''
    const ends: number[] = []
    for (let n = 1; n <= 100; n++) {
      text += `${n} `
      const segment = say(`${n} `)
      if (segment === undefined) continue
      ends.push(segment.end)
      const receipt = record.receiptOf(segment)
      expect(receipt).toMatchObject({ jobId: `job_7.1#${n - 1}`, meteringUnits: 5 + n })
      expect(receipt.resultHash).toEqual(sha256(text))
      expect(receiptHolds(receipt, verify)).toBe(true)
    }
    expect(ends).toEqual([1, 2, 3].map((n) => n * SEGMENT_TOKENS))
    const given = seal() as Issued
    expect(bodyOf(given).segments.map(({ end }) => end)).toEqual(ends)
  })

  it('come every second of a slow answer', () => {
    const { record, say, clock } = stage()
    record.open(5)
    expect(say('a')).toBeUndefined()
    clock.stall(SEGMENT_MS)
    expect(say('b')?.end).toBe(2)
    expect(say('c')).toBeUndefined()
  })

  it('of answers that are written together come at different times', () => {
    const firsts = Array.from({ length: 64 }, (_, at) => {
      const { record, say } = stage(chat(), `job_${at}.1`)
      record.open(5)
      for (;;) {
        const segment = say('x')
        if (segment !== undefined) return segment.end
      }
    })
    const most = SEGMENT_TOKENS
    expect(Math.max(...firsts)).toBe(most)
    expect(Math.min(...firsts)).toBe(most - SEGMENT_HEAD_STARTS + 1)
    expect(firsts.filter((end) => end === most).length).toBeLessThan(64 / 4)
  })

  it('of a slow answer has the same head start', () => {
    const { record, say, clock } = stage(chat(), 'job_15.1')
    record.open(5)
    say('a')
    clock.stall(SEGMENT_MS - (SEGMENT_MS * (SEGMENT_HEAD_STARTS - 1)) / SEGMENT_TOKENS)
    expect(say('b')?.end).toBe(2)
  })

  it('come half as often after every 64', () => {
    const { record, say } = stage()
    record.open(5)
    const ends: number[] = []
    for (let n = 0; n < 64 * 32 + 64 * 64 + 128; n++) {
      const segment = say('x')
      if (segment !== undefined) ends.push(segment.end)
    }
    expect(ends[63]).toBe(64 * 32)
    expect(ends[64]).toBe(64 * 32 + 64)
    expect(ends[127]).toBe(64 * 32 + 64 * 64)
    expect(ends[128]).toBe(64 * 32 + 64 * 64 + 128)
  })

  it('that cover more than what counts are not in the entry of a cancelled answer', () => {
    const { record, say, seal } = stage()
    record.open(5)
    for (let n = 0; n < 70; n++) say('x')
    const given = seal(['cancelled'], [40]) as Issued
    expect(bodyOf(given).segments.map(({ end }) => end)).toEqual([32])
    expect(given.receipt.resultHash).toEqual(sha256('x'.repeat(40)))
  })

  it('are none of an answer of several choices', () => {
    const { record } = stage(chat(2))
    record.open(5)
    const many = { choice: 0, ids: Array(100).fill(0), text: 'x' }
    expect(record.tokens(many)).toBeUndefined()
  })

  it('of the longest answers fit into an entry', () => {
    const { record, say, seal } = stage()
    record.open(5)
    for (let n = 0; n < 20_000; n++) say('x')
    const given = seal() as Issued
    expect(bodyOf(given).segments).toHaveLength(128)
  })
})
