import type { Clock } from '../../../base/clock.ts'
import { slotsOf } from '../../lanes.ts'
import type { NativeContext, NativeSampler } from './binding.ts'
import { Delivery } from './delivery.ts'
import type { Lane, Run } from './generation.ts'
import type { Outbox } from './outbox.ts'
import { PrefillPace } from './prefill-pace.ts'
import { type Drawn, Sampler } from './sampler.ts'
import { type Pick, type Sequence, SequencePool, SHARE_TOKENS_MIN } from './sequence-pool.ts'
import type { Speculation } from './speculation/speculation.ts'
import type { TokenTable } from './token-table.ts'

export interface TickLoopComponents {
  context: NativeContext
  newSampler: () => NativeSampler
  tokens: TokenTable
  outbox: Outbox
  clock: Clock
  /** Only where the memory of a sequence can be cut. */
  speculation?: Speculation | undefined
}

export interface TickLoopOptions {
  /** Choices that are written at the same time; at most `sequences`. */
  slots: number
  sequences: number
  contextLength: number
  batchSize: number
  /** The memory of a sequence can be cut anywhere. */
  trims: boolean
  /** See `LoadOptions`; then there is one slot. */
  reproducible?: boolean | undefined
}

/**
 * While prompts are read, answers get one decode for this many times its duration: who waits for a
 * first word waits little longer, and who reads an answer sees it go on.
 */
const READING_SHARE = 10

const noLogits = new Uint32Array(0)
const noGuesses = { open: [] as readonly number[] }

/**
 * Runs all choices of all runs side by side. Each tick is one decode: the next token of every choice
 * that is being written, or as much of the oldest prompts as fits into a fraction of a second.
 */
export class TickLoop {
  readonly #components: TickLoopComponents
  readonly #options: TickLoopOptions
  readonly #pool: SequencePool
  readonly #pace: PrefillPace
  readonly #delivery: Delivery
  #slots: number
  #waiting: Lane[] = []
  /** In the order they were admitted: prompts are read in this order. */
  #active: Lane[] = []
  #looping: Promise<void> | undefined
  /** The last decode was one of answers, not of prompts; when it ended, and how long it took. */
  #writes = false
  #wroteAt = 0
  #writeMs = 0
  #lent: { abort: AbortController; ended: Promise<unknown> } | undefined

  constructor(components: TickLoopComponents, options: TickLoopOptions) {
    this.#components = components
    this.#options = options
    this.#slots = options.slots
    this.#delivery = new Delivery(components)
    const { sequences, contextLength, trims, reproducible: forgets } = options
    this.#pool = new SequencePool(sequences, contextLength, { trims, forgets })
    this.#pace = new PrefillPace(options.batchSize)
  }

  get busy(): boolean {
    return this.#looping !== undefined
  }

  set slots(slots: number) {
    this.#slots = Math.min(slots, this.#options.sequences)
  }

  add(run: Run): void {
    this.#delivery.add(run, this.#components.clock.elapsed())
    for (const lane of run.lanes) {
      if (lane.ended === undefined) this.#waiting.push(lane)
      else this.#delivery.finish(lane, lane.ended)
    }
    this.#delivery.settle(run)
    this.#looping ??= this.#loop()
  }

  /** One that has not ended. */
  run(id: number): Run | undefined {
    return this.#delivery.get(id)
  }

  /** The last chunk goes out at once; the slot is free when the decode at work has ended. */
  cancel(id: number): void {
    const run = this.#delivery.get(id)
    if (run === undefined) return
    for (const lane of run.lanes) this.#delivery.finish(lane, 'cancelled')
    this.#delivery.settle(run)
    this.#components.outbox.flush()
  }

  /**
   * Lends the context out while there is no work. Work that comes in aborts the task, and waits for
   * it to end. Undefined when there is work.
   */
  async lend<T>(
    task: (sequences: readonly Sequence[], signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    if (this.busy || this.#lent !== undefined) return undefined
    const abort = new AbortController()
    const ended = task(this.#pool.sequences, abort.signal)
    this.#lent = { abort, ended: ended.catch(() => {}) }
    try {
      return await ended
    } finally {
      this.#lent = undefined
    }
  }

  async #loop(): Promise<void> {
    this.#lent?.abort.abort()
    await this.#lent?.ended
    while (this.#waiting.length + this.#active.length > 0) {
      await this.#admit()
      await this.#tick()
      this.#sweep()
    }
    this.#looping = undefined
    this.#components.outbox.flush()
  }

  async #admit(): Promise<void> {
    this.#sweep()
    while (this.#active.length < this.#slots) {
      const lane = this.#waiting.find(({ run }) => this.#hasShare(run))
      if (lane === undefined || this.#waitsForLeader(lane)) return
      const pick = this.#pool.pick(lane.run.scope, lane.given)
      if (pick === undefined) return
      this.#waiting.splice(this.#waiting.indexOf(lane), 1)
      try {
        await this.#seat(lane, pick)
        this.#active.push(lane)
      } catch (error) {
        this.#components.context.disposeSequence(pick.sequence.index)
        pick.sequence.length = 0
        this.#pool.free(pick.sequence)
        this.#delivery.fail(lane.run, error)
      }
    }
  }

  #hasShare(run: Run): boolean {
    if (run.share >= 1) return true
    const held = this.#active.filter((lane) => lane.run === run).length
    return held < slotsOf(this.#slots, run.share)
  }

  /** Its prompt is being computed by another choice and can be copied from there in a moment. */
  #waitsForLeader({ prompt }: Lane): boolean {
    const { leader } = prompt
    return (
      this.#options.trims &&
      prompt.tokens.length > SHARE_TOKENS_MIN &&
      leader?.sequence !== undefined &&
      leader.prefilling
    )
  }

  async #seat(lane: Lane, { sequence, keep, source }: Pick): Promise<void> {
    const { context, newSampler, tokens } = this.#components
    const { run, prompt } = lane
    let kept = keep
    if (source !== undefined) {
      context.disposeSequence(sequence.index)
      await context.copySequenceStateFromOtherSequence(sequence.index, source.index)
    }
    const held = source?.length ?? sequence.length
    if (kept === 0 || !context.removeTokenCellsFromSequence(sequence.index, kept, -1)) {
      if (held > 0) context.disposeSequence(sequence.index)
      kept = 0
    }
    this.#pool.take(sequence, run.scope, kept, lane.given)
    lane.sequence = sequence
    const { draw, room, resumed: written } = lane
    const parts = { context, newSampler, tokens }
    lane.sampler = new Sampler(parts, run.sampling, { draw, room, written })
    prompt.leader ??= lane
    prompt.cached ??= Math.min(kept, prompt.tokens.length)
    this.#read(lane, kept)
  }

  async #tick(): Promise<void> {
    const { context, outbox, clock } = this.#components
    const batch = this.#plan()
    if (batch.length === 0) return
    await this.#guess(batch)
    const started = clock.elapsed()
    try {
      this.#fill(batch)
      const decoding = context.decodeBatch()
      // What the last tick gave goes out while the next one computes.
      outbox.flush()
      await decoding
    } catch (error) {
      this.#lose(batch, error)
      return
    }
    this.#account(batch, started)
    await this.#draw(batch)
    this.#delivery.report(clock.elapsed())
  }

  /**
   * Either answers or prompts: put into one batch llama.cpp would compute them apart all the same.
   * Ascending sequences: it computes neighbours together and splits a batch at every gap.
   */
  #plan(): Lane[] {
    const open = this.#active.filter(({ finish }) => finish === undefined)
    const writing = open.filter(({ prefilling }) => !prefilling)
    const reading = open.filter(({ prefilling }) => prefilling)
    this.#writes = writing.length > 0 && (reading.length === 0 || this.#writingIsDue())
    let budget = this.#pace.chunk
    for (const lane of this.#writes ? writing : reading) {
      const most = this.#options.reproducible ? lane.evenStep : budget
      lane.taken = Math.min(lane.remaining, most)
      budget -= lane.taken
    }
    const batch = (this.#writes ? writing : reading).filter(({ taken }) => taken > 0)
    return batch.sort((a, b) => (a.sequence?.index ?? 0) - (b.sequence?.index ?? 0))
  }

  #writingIsDue(): boolean {
    const since = this.#components.clock.elapsed() - this.#wroteAt
    return !this.#writes && since >= this.#writeMs * READING_SHARE
  }

  async #guess(batch: Lane[]): Promise<void> {
    const { speculation, outbox } = this.#components
    if (!this.#writes || speculation === undefined) return
    if (speculation.computes) outbox.flush()
    for (const lane of await speculation.guess(batch)) this.#delivery.preview(lane)
  }

  #fill(batch: Lane[]): void {
    const { context } = this.#components
    context.initBatch(batch.reduce((sum, { taken, guessed }) => sum + taken + guessed, 0))
    for (const lane of batch) {
      const { sequence, taken, guessed, guesses } = lane
      if (sequence === undefined) continue
      const end = sequence.length + taken
      if (guessed > 0 && guesses !== undefined) sequence.tokens.set(guesses.open, end)
      const tokens = sequence.tokens.subarray(sequence.length, end + guessed)
      const last =
        taken === lane.remaining
          ? Uint32Array.from({ length: 1 + guessed }, (_, at) => taken - 1 + at)
          : noLogits
      lane.logits = context.addToBatch(sequence.index, sequence.length, tokens, last)
    }
  }

  /** Also for choices that were cancelled meanwhile: their tokens are in memory now. */
  #account(batch: Lane[], started: number): void {
    const now = this.#components.clock.elapsed()
    let tokens = 0
    for (const lane of batch) {
      const { sequence, taken, guessed } = lane
      if (sequence === undefined) continue
      tokens += taken + guessed
      sequence.length += taken
      this.#read(lane, sequence.length)
    }
    if (this.#writes) {
      this.#wroteAt = now
      this.#writeMs = now - started
      this.#components.speculation?.took(batch, now - started)
    } else {
      this.#pace.took(tokens, now - started)
    }
  }

  /** So many tokens of its prompt, and perhaps of what was written, are in memory. */
  #read({ prompt }: Lane, tokens: number): void {
    prompt.read = Math.max(prompt.read, Math.min(tokens, prompt.tokens.length))
  }

  async #draw(batch: Lane[]): Promise<void> {
    const drawn = await Promise.allSettled(batch.map((lane) => this.#drawOne(lane)))
    drawn.forEach((result, at) => {
      const lane = batch[at]
      if (lane === undefined) return
      const tokens = result.status === 'fulfilled' ? result.value : []
      this.#forget(lane, tokens)
      if (lane.finish !== undefined) return
      if (result.status === 'rejected') this.#delivery.fail(lane.run, result.reason)
      else this.#delivery.advance(lane, tokens)
    })
  }

  /** The model's next token, and as long as that is what was guessed, the one behind it. */
  async #drawOne(lane: Lane): Promise<Drawn[]> {
    const { sampler, sequence, prompt, generated, guesses: { open: guesses } = noGuesses } = lane
    const drawn: Drawn[] = []
    if (sampler === undefined || sequence === undefined || lane.finish !== undefined) return drawn
    const from = prompt.tokens.length
    for (const logit of lane.logits) {
      const at = drawn.length
      const next = await sampler.draw(logit, sequence.tokens.subarray(from, from + generated + at))
      drawn.push(next)
      if (next.token !== guesses[at]) break
    }
    return drawn
  }

  /** Guesses stay in memory as far as they were right. */
  #forget(lane: Lane, drawn: readonly Drawn[]): void {
    const { sequence, guessed } = lane
    if (sequence === undefined || guessed === 0) return
    const right = Math.max(drawn.length - 1, 0)
    sequence.length += right
    if (right === guessed) return
    const { context } = this.#components
    if (context.removeTokenCellsFromSequence(sequence.index, sequence.length, -1)) return
    this.#lose([lane], new Error('its memory cannot be cut'))
  }

  /** After a failed decode nobody knows what its sequences hold. */
  #lose(batch: Lane[], error: unknown): void {
    for (const { run, sequence } of batch) {
      if (sequence !== undefined) {
        this.#components.context.disposeSequence(sequence.index)
        sequence.length = 0
      }
      this.#delivery.fail(run, error)
    }
  }

  #sweep(): void {
    if (this.#waiting.some(({ finish }) => finish !== undefined)) {
      this.#waiting = this.#waiting.filter(({ finish }) => finish === undefined)
    }
    if (!this.#active.some(({ finish }) => finish !== undefined)) return
    for (const lane of this.#active) {
      if (lane.finish === undefined) continue
      if (lane.sequence !== undefined) this.#pool.free(lane.sequence)
      lane.sequence = undefined
      lane.sampler?.dispose()
    }
    this.#active = this.#active.filter(({ finish }) => finish === undefined)
  }
}
