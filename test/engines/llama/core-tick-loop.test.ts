import { describe, expect, it } from 'vitest'
import type { Clock } from '../../../src/base/clock.ts'
import type {
  NativeContext,
  NativeModel,
  NativeSampler,
} from '../../../src/engines/llama/core/binding.ts'
import { Run } from '../../../src/engines/llama/core/generation.ts'
import { Outbox } from '../../../src/engines/llama/core/outbox.ts'
import { TickLoop } from '../../../src/engines/llama/core/tick-loop.ts'
import { TokenTable } from '../../../src/engines/llama/core/token-table.ts'
import type { FromEngine } from '../../../src/engines/llama/ipc.ts'
import { greedy } from './core-harness.ts'

interface Part {
  sequence: number
  position: number
  tokens: number[]
}

const CONTEXT_LENGTH = 1000
const END = 7

/** Stands for llama.cpp: remembers every batch, checks positions, and always answers the same. */
class FakeContext implements NativeContext {
  readonly batches: Part[][] = []
  /** What each sequence's memory holds. */
  readonly held = new Map<number, number[]>()
  msPerToken = 0
  time = 0
  failNext = false
  /** Called while a batch is being computed. */
  during: (() => void) | undefined
  #batch: Part[] = []
  #room = 0

  initBatch(size: number): void {
    this.#batch = []
    this.#room = size
  }

  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array) {
    this.#room -= tokens.length
    if (this.#room < 0) throw new RangeError('Tokens exceed the initialized batch size')
    const held = this.held.get(sequence) ?? []
    if (held.length !== position) throw new Error(`position ${position} after ${held.length}`)
    this.held.set(sequence, [...held, ...tokens])
    this.#batch.push({ sequence, position, tokens: [...tokens] })
    return logits.map(() => sequence)
  }

  async decodeBatch(): Promise<void> {
    if (this.#room !== 0) throw new Error('The batch is not full.')
    this.batches.push(this.#batch)
    this.time += this.#batch.reduce((sum, { tokens }) => sum + tokens.length, 0) * this.msPerToken
    await new Promise(setImmediate)
    this.during?.()
    if (!this.failNext) return
    this.failNext = false
    throw new Error('Eval has failed')
  }

  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>
  sampleToken(): Promise<never>
  async sampleToken(): Promise<unknown> {
    return 65
  }

  removeTokenCellsFromSequence(sequence: number, start: number): boolean {
    this.held.set(sequence, (this.held.get(sequence) ?? []).slice(0, start))
    return true
  }

  disposeSequence(sequence: number): void {
    this.held.delete(sequence)
  }

  async copySequenceStateFromOtherSequence(target: number, source: number): Promise<number> {
    this.held.set(target, [...(this.held.get(source) ?? [])])
    return 0
  }

  setThreads(): void {}
}

const model: NativeModel = {
  tokenize: () => new Uint32Array(0),
  detokenize: () => '',
  getTokenString: (token) => String.fromCharCode(token),
  getTokenAttributes: () => 4,
  isEogToken: (token) => token === END,
}
const sampler: NativeSampler = { applyConfig() {}, dispose() {} }

function setUp(slots = 4, sequences = slots, { reproducible = false } = {}) {
  const context = new FakeContext()
  const sent: FromEngine[] = []
  const clock: Clock = {
    now: () => context.time,
    elapsed: () => context.time,
    after: () => () => {},
    sleep: async () => {},
  }
  const loop = new TickLoop(
    {
      context,
      newSampler: () => sampler,
      tokens: new TokenTable(model, 'bpe'),
      outbox: new Outbox((message) => sent.push(message)),
      clock,
    },
    { slots, sequences, contextLength: CONTEXT_LENGTH, batchSize: 512, trims: true, reproducible },
  )
  let id = 0
  const begin = (
    length: number,
    { maxTokens = 4, choices = 1, scope = `s${id}`, share = 1, written = 0 } = {},
  ) => {
    const ids = new Uint32Array(written).fill(65)
    const text = 'A'.repeat(written)
    const begun = new Map([[0, { ids, text, bytes: Buffer.from(text), ended: false }]])
    const run = new Run({
      id: ++id,
      ...{ scope, share },
      sampling: { ...greedy, maxTokens, choices },
      prompts: [Uint32Array.from({ length }, (_, at) => 100 + id * 1000 + at)],
      contextLength: CONTEXT_LENGTH,
      ...(written > 0 && { begun }),
    })
    loop.add(run)
    return run.id
  }
  const chunks = (run: number) =>
    sent.flatMap((message) =>
      message.type === 'chunks'
        ? message.chunks.flatMap(([of, it]) => (of === run ? [it] : []))
        : [],
    )
  const end = async () => {
    while (loop.busy) await new Promise(setImmediate)
  }
  return { context, loop, sent, begin, chunks, end }
}

describe('the tick loop', () => {
  it('decodes the next token of every answer together, neighbours in order', async () => {
    const { context, begin, end } = setUp(8)
    for (let at = 0; at < 8; at++) begin(3, { maxTokens: 20 })
    await end()
    const full = context.batches.filter((batch) => batch.length === 8)
    expect(full).toHaveLength(20)
    for (const batch of full)
      expect(batch.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('reads prompts first in, first out, beside the answers at work', async () => {
    const { context, begin, end, chunks, sent } = setUp()
    const [a, b, c] = [begin(100), begin(100), begin(100)]
    await end()
    const order = sent.flatMap((message) =>
      message.type === 'chunks'
        ? message.chunks.flatMap(([run, it]) =>
            it.type === 'tokens' && it.index === 0 ? [run] : [],
          )
        : [],
    )
    expect(order).toEqual([a, b, c])
    // The first answer goes on while the others' prompts are still read.
    const reads = (sequence: number) =>
      context.batches.findIndex((batch) => batch.some((part) => part.sequence === sequence))
    const writes = context.batches.findIndex((batch) =>
      batch.every(({ tokens }) => tokens.length === 1),
    )
    expect(writes).toBeLessThan(reads(2))
    expect(chunks(c).at(-1)).toMatchObject({ type: 'done', finish: ['length'] })
  })

  it('takes as much of a prompt at once as a fifth of a second allows', async () => {
    const slow = setUp()
    slow.context.msPerToken = 5
    slow.begin(900)
    await slow.end()
    const sizes = slow.context.batches.map((batch) => batch[0]?.tokens.length ?? 0)
    expect(sizes[0]).toBe(64)
    expect(Math.max(...sizes.slice(1))).toBe(36)
    const fast = setUp()
    fast.context.msPerToken = 0.01
    fast.begin(900)
    await fast.end()
    expect(fast.context.batches.map((batch) => batch[0]?.tokens.length).slice(0, 4)).toEqual([
      64, 128, 256, 452,
    ])
  })

  it('lets no prompt wait long for the answers at work, and no answer for ever', async () => {
    const { context, begin, end } = setUp()
    context.msPerToken = 10
    begin(8, { maxTokens: 30 })
    begin(900, { maxTokens: 1 })
    await end()
    const kinds = context.batches.map((batch) => (batch[0]?.sequence === 0 ? 'answer' : 'prompt'))
    const until = kinds.lastIndexOf('prompt')
    const answers = kinds.slice(1, until).filter((kind) => kind === 'answer').length
    expect(answers).toBeGreaterThan(5)
    expect(answers).toBeLessThan(until / 2)
    for (const batch of context.batches.slice(2)) {
      expect(batch.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThanOrEqual(16)
    }
  })

  it('reports how far a prompt is', async () => {
    const { context, begin, end, chunks } = setUp()
    context.msPerToken = 5
    const run = begin(400)
    await end()
    const progress = chunks(run).filter((chunk) => chunk.type === 'progress')
    expect(progress.length).toBeGreaterThan(4)
    const read = progress.map(({ prefilled }) => prefilled)
    expect(read).toEqual(read.toSorted((a, b) => a - b))
    expect(progress[0]).toMatchObject({ queued: 0, total: 400 })
  })

  it('says how many jobs are before one that waits', async () => {
    const { context, begin, end, chunks } = setUp(1)
    context.msPerToken = 5
    begin(200)
    begin(200)
    const third = begin(200)
    await end()
    const queued = chunks(third).flatMap((it) => (it.type === 'progress' ? [it.queued] : []))
    expect(queued[0]).toBe(2)
    expect(queued).toContain(1)
    expect(queued.at(-1)).toBe(0)
  })

  it('computes a prompt once for all its choices', async () => {
    const { context, begin, end, chunks } = setUp(4)
    const run = begin(200, { choices: 4, maxTokens: 2 })
    await end()
    const computed = context.batches.flat().reduce((sum, { tokens }) => sum + tokens.length, 0)
    // The prompt, its last token again for three choices, and one token fed back for each.
    expect(computed).toBe(200 + 3 + 4)
    expect(chunks(run).at(-1)).toMatchObject({ usage: { inputTokens: 200, outputTokens: 8 } })
  })

  it('has choices wait for each other, of a run that has but a share of the slots', async () => {
    const { begin, end, chunks, sent } = setUp(4)
    const wide = begin(3, { choices: 4, maxTokens: 10, share: 0.5 })
    const other = begin(3, { choices: 2, maxTokens: 10 })
    await end()
    const isDone = (run: number) => (message: FromEngine) =>
      message.type === 'chunks' &&
      message.chunks.some(([of, { type }]) => of === run && type === 'done')
    expect(sent.findIndex(isDone(other))).toBeLessThan(sent.findIndex(isDone(wide)))
    const written = chunks(wide).flatMap((it) => (it.type === 'tokens' ? [it.choice] : []))
    expect(written.indexOf(2)).toBeGreaterThan(written.lastIndexOf(0))
    expect(written.filter((choice) => choice === 3)).toHaveLength(10)
  })

  it('is free again one decode after a cancel in the middle of a prompt', async () => {
    const { context, loop, begin, end, chunks } = setUp(1)
    const run = begin(900)
    context.during = () => loop.cancel(run)
    await end()
    expect(context.batches).toHaveLength(1)
    expect(chunks(run)).toEqual([
      {
        type: 'done',
        finish: ['cancelled'],
        usage: { inputTokens: 900, cachedTokens: 0, outputTokens: 0 },
      },
    ])
    context.during = undefined
    const next = begin(10)
    await end()
    expect(chunks(next).at(-1)).toMatchObject({ finish: ['length'] })
  })

  it('keeps what a cancelled run had read for the next of its scope', async () => {
    const { context, loop, begin, end, chunks } = setUp(1)
    const run = begin(900, { scope: 'mine' })
    context.during = () => loop.cancel(run)
    await end()
    context.during = undefined
    const same = new Run({
      id: 50,
      scope: 'mine',
      sampling: { ...greedy, maxTokens: 1 },
      prompts: [Uint32Array.from({ length: 900 }, (_, at) => 1100 + at)],
      contextLength: CONTEXT_LENGTH,
    })
    loop.add(same)
    await end()
    expect(chunks(50).at(-1)).toMatchObject({ usage: { cachedTokens: 64 } })
  })

  it('fails the runs of a decode that failed, and goes on', async () => {
    const { context, sent, begin, end, chunks } = setUp()
    context.failNext = true
    const [a, b] = [begin(10), begin(10)]
    await end()
    for (const run of [a, b]) {
      expect(sent).toContainEqual(expect.objectContaining({ run, code: 'engine_failed' }))
    }
    const next = begin(10)
    await end()
    expect(chunks(next).at(-1)).toMatchObject({ type: 'done', finish: ['length'] })
  })

  it('fails a run whose sequence cannot be made ready, and keeps the sequence', async () => {
    const { context, sent, begin, end, chunks } = setUp(2)
    context.copySequenceStateFromOtherSequence = () => Promise.reject(new Error('no memory'))
    const run = begin(200, { choices: 2 })
    await end()
    expect(sent).toContainEqual(expect.objectContaining({ run, code: 'engine_failed' }))
    const next = [begin(10, { choices: 2 }), begin(10, { choices: 2 })]
    await end()
    for (const id of next) expect(chunks(id).at(-1)).toMatchObject({ finish: ['length', 'length'] })
    expect(context.batches.some((batch) => batch.length === 2)).toBe(true)
  })

  it('lends the context only while nothing is to be done, and takes it back for work', async () => {
    const { loop, begin, end, chunks } = setUp()
    const task = async (_: unknown, signal: AbortSignal) => {
      while (!signal.aborted) await new Promise(setImmediate)
      return 'stopped'
    }
    const lent = loop.lend(task)
    expect(await loop.lend(task)).toBeUndefined()
    const run = begin(10)
    expect(await loop.lend(task)).toBeUndefined()
    expect(await lent).toBe('stopped')
    await end()
    expect(chunks(run).at(-1)).toMatchObject({ type: 'done' })
  })

  it('reads what was written elsewhere behind the prompt, in as few decodes', async () => {
    const { context, begin, end, chunks } = setUp()
    const run = begin(40, { written: 20, maxTokens: 22 })
    await end()
    expect(context.batches.map(([part]) => part?.tokens.length)).toEqual([60, 1])
    expect(chunks(run)).toMatchObject([
      { type: 'tokens', index: 20, text: 'A' },
      { type: 'tokens', index: 21, text: 'A' },
      { type: 'done', usage: { inputTokens: 40, cachedTokens: 0, outputTokens: 2 } },
    ])
  })

  it('computes each token in the same company where answers must not differ', async () => {
    const { context, begin, end, chunks } = setUp(1, 1, { reproducible: true })
    const sizes = () => context.batches.splice(0).map(([part]) => part?.tokens.length)
    begin(40, { maxTokens: 6, scope: 'mine' })
    await end()
    const undisturbed = sizes()
    expect(undisturbed).toEqual([16, 16, 8, 1, 1, 1, 1, 1])
    const run = begin(40, { maxTokens: 6, scope: 'mine', written: 4 })
    await end()
    expect(sizes()).toEqual(undisturbed)
    expect(chunks(run).at(-1)).toMatchObject({ usage: { cachedTokens: 0, outputTokens: 2 } })
  })

  it('ends at once what may write nothing', async () => {
    const { begin, end, chunks, context } = setUp()
    const run = begin(10, { maxTokens: 0 })
    await end()
    expect(chunks(run)).toMatchObject([{ type: 'done', finish: ['length'] }])
    expect(context.batches).toEqual([])
  })
})
