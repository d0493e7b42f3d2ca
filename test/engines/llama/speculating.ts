import { expect } from 'vitest'
import type { Begun } from '../../../src/engines/llama/core/begun.ts'
import { Run } from '../../../src/engines/llama/core/generation.ts'
import { Outbox } from '../../../src/engines/llama/core/outbox.ts'
import { DraftModel } from '../../../src/engines/llama/core/speculation/draft-model.ts'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import {
  Speculation,
  type SpeculationOptions,
} from '../../../src/engines/llama/core/speculation/speculation.ts'
import { TickLoop } from '../../../src/engines/llama/core/tick-loop.ts'
import { TokenTable } from '../../../src/engines/llama/core/token-table.ts'
import type { FromEngine } from '../../../src/engines/llama/ipc.ts'
import type { Chunk, Done, TokenLogprob } from '../../../src/wire/chunk.ts'
import type { Sampling } from '../../../src/wire/job.ts'
import { FakeLlama, FakeSampler, fakeModel, VOCABULARY } from './fake-llama.ts'

export interface Asked {
  prompt: number[]
  sampling: Sampling
  watched?: boolean
  drafters?: readonly Drafter[]
  begun?: ReadonlyMap<number, Begun>
}

/** The first so many tokens of each choice, as they are resumed. */
export function begunOf({ chunks, choices }: Answer, count: number): Map<number, Begun> {
  const table = new TokenTable(fakeModel, 'spm')
  const begun = new Map<number, Begun>()
  for (const [choice, { ids: all }] of choices.entries()) {
    const ids = all.slice(0, count)
    const texts = chunks.flatMap((it) =>
      it.type === 'tokens' && it.choice === choice && it.index + it.ids.length <= count
        ? [it.text]
        : [],
    )
    const bytes = Buffer.concat(ids.map((id) => table.bytes(id)))
    const whole = { ids: Uint32Array.from(ids), bytes, text: texts.join(''), ended: false }
    if (ids.length > 0) begun.set(choice, whole)
  }
  return begun
}

/** What the reader of one run has at its end. */
export interface Answer {
  choices: { ids: number[]; text: string; logprobs: TokenLogprob[] }[]
  done: Done
  chunks: Chunk[]
}

export interface SetUp extends Partial<SpeculationOptions> {
  drafters?: readonly Drafter[]
  slots?: number
  contextLength?: number
  msOf?: (tokens: number) => number
  endless?: boolean
  /** What calibration found: decodes of so many tokens are known from the beginning. */
  known?: readonly number[]
}

/** A tick loop over a fake llama.cpp, with these drafters or none. */
export class FakeEngine {
  readonly llama = new FakeLlama()
  readonly loop: TickLoop
  readonly #sent: FromEngine[] = []
  readonly #contextLength: number
  #id = 0

  constructor(setUp: SetUp = {}) {
    const {
      drafters,
      slots = 4,
      contextLength = 400,
      msOf,
      known = [],
      endless,
      ...options
    } = setUp
    if (msOf !== undefined) this.llama.msOf = msOf
    this.llama.endless = endless ?? false
    this.#contextLength = contextLength
    const { stepwise } = options
    const tokens = new TokenTable(fakeModel, 'spm')
    const speculation =
      drafters && new Speculation({ drafters, tokens }, { vocabularySize: VOCABULARY, ...options })
    speculation?.cost.learn(known.map((size) => ({ tokens: size, ms: this.llama.msOf(size) })))
    this.loop = new TickLoop(
      {
        context: this.llama,
        newSampler: () => new FakeSampler(),
        tokens,
        outbox: new Outbox((message) => this.#sent.push(message)),
        clock: this.llama.clock,
        speculation,
      },
      {
        ...{ slots, sequences: slots, contextLength, batchSize: 512, trims: true },
        reproducible: stepwise,
      },
    )
  }

  start({ prompt, begun, ...asked }: Asked): number {
    const id = ++this.#id
    const { loop } = this
    const prompts = [Uint32Array.from(prompt)]
    const contextLength = this.#contextLength
    const goesOn = begun && { begun }
    loop.add(new Run({ id, scope: `s${id}`, ...asked, ...goesOn, prompts, contextLength }))
    return id
  }

  async ended(): Promise<void> {
    while (this.loop.busy) await new Promise(setImmediate)
  }

  async run(asked: readonly Asked[]): Promise<Answer[]> {
    const ids = asked.map((each) => this.start(each))
    await this.ended()
    return ids.map((id, at) => this.answer(id, asked[at]?.sampling.choices ?? 1))
  }

  answer(id: number, count: number): Answer {
    const chunks = this.#sent.flatMap((message) =>
      message.type === 'chunks'
        ? message.chunks.flatMap(([run, chunk]) => (run === id ? [chunk] : []))
        : [],
    )
    const done = chunks.at(-1)
    if (done?.type !== 'done') throw new Error(`not done: ${JSON.stringify(this.#sent.at(-1))}`)
    const choices = Array.from({ length: count }, (_, choice) => replayed(chunks, choice))
    return { choices, done, chunks }
  }
}

export interface FakeDraft {
  wrong?: number
  contextLength?: number
  failAt?: number
  msOf?: (tokens: number, decodes: number) => number
  endless?: boolean
}

/** The model of a `FakeEngine` again, wrong so often; a decode of it fails at some time, or none does. */
export function fakeDraftModel(fake: FakeDraft): DraftModel {
  const { wrong = 0, contextLength = 400, failAt = -1, msOf, endless = false } = fake
  const context = new FakeLlama()
  context.wrong = wrong
  context.endless = endless
  if (msOf !== undefined) context.msOf = (size) => msOf(size, context.batches.length)
  context.during = () => {
    if (context.batches.length === failAt) throw new Error('Eval has failed')
  }
  const tokens = new TokenTable(fakeModel, 'spm')
  const { clock } = context
  const newSampler = () => new FakeSampler()
  return new DraftModel({ context, tokens, newSampler, clock }, { sequences: 8, contextLength })
}

/** What a watching reader has seen of a choice, step by step; holds it against the rules. */
function replayed(chunks: readonly Chunk[], choice: number): Answer['choices'][number] {
  const ids: number[] = []
  const logprobs: TokenLogprob[] = []
  let text = ''
  /** Where it goes on. */
  let first: number | undefined
  /** Of each place behind the tokens: what is guessed there. */
  let ghosts: number[] = []
  for (const chunk of chunks) {
    if (!('choice' in chunk) || chunk.choice !== choice) continue
    if (chunk.type === 'tokens') {
      first ??= chunk.index
      expect(chunk.index).toBe(first + ids.length)
      ids.push(...chunk.ids)
      text += chunk.text
      logprobs.push(...(chunk.logprobs ?? []))
      // What stands before the end of the answer is a part of it; what differs was taken back before.
      const shown = ghosts.splice(0, chunk.ids.length)
      expect(shown).toEqual(chunk.ids.slice(0, shown.length))
    } else if (chunk.type === 'provisional') {
      first ??= chunk.index
      const at = chunk.index - first - ids.length
      expect(at).toBeGreaterThanOrEqual(0)
      expect(at).toBeLessThanOrEqual(ghosts.length)
      ghosts = [...ghosts.slice(0, at), ...chunk.ids]
    } else if (chunk.type === 'rollback') {
      const at = chunk.from - (first ?? 0) - ids.length
      expect(at).toBeGreaterThanOrEqual(0)
      expect(at).toBeLessThan(ghosts.length)
      ghosts.splice(at)
    }
  }
  expect(ghosts).toEqual([])
  return { ids, text, logprobs }
}

/** Everything that was drafted was accepted or rolled back, and what was accepted is in the answer. */
export function expectCounts({ done }: Answer): void {
  let accepted = 0
  for (const counts of done.drafting ?? []) {
    expect(counts.accepted + counts.rolledBack).toBe(counts.drafted)
    expect(counts.drafted).toBeGreaterThan(0)
    accepted += counts.accepted
  }
  expect(accepted).toBeLessThanOrEqual(done.usage.outputTokens)
}
