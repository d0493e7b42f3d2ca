import { messageOf, PeerError } from '../../../base/errors.ts'
import type { Finish, RollbackReason } from '../../../wire/chunk.ts'
import type { Settled } from './answer-text.ts'
import type { Lane, Run } from './generation.ts'
import type { Outbox } from './outbox.ts'
import type { Drawn } from './sampler.ts'
import type { TokenTable } from './token-table.ts'

/** A reader hears how far its prompt is at least this often, one decode more or less. */
const PROGRESS_MS = 250

export interface DeliveryComponents {
  tokens: TokenTable
  outbox: Outbox
}

/** What becomes of drawn tokens, and what the readers of all runs hear. */
export class Delivery {
  readonly #components: DeliveryComponents
  readonly #runs = new Map<number, Run>()

  constructor(components: DeliveryComponents) {
    this.#components = components
  }

  get(id: number): Run | undefined {
    return this.#runs.get(id)
  }

  add(run: Run, now: number): void {
    this.#runs.set(run.id, run)
    run.reportedAt = now
  }

  /** A tick's tokens of one choice, until it is at its end. */
  advance(lane: Lane, drawn: readonly Drawn[]): void {
    for (const each of drawn) {
      if (lane.finish === undefined) this.#advance(lane, each)
    }
    lane.guesses?.tell()
  }

  finish(lane: Lane, finish: Finish): void {
    if (lane.finish !== undefined) return
    lane.finish = finish
    this.#deliver(lane, lane.text.flush())
    lane.guesses?.close()
    this.#rollBack(lane, lane.delivered, lane.text.stopped ? 'stop_sequence' : 'cancelled')
  }

  settle(run: Run): void {
    if (run.finished && this.#runs.delete(run.id)) this.#components.outbox.add(run.id, run.done)
  }

  fail(run: Run, error: unknown): void {
    if (!this.#runs.delete(run.id)) return
    for (const lane of run.lanes) {
      lane.finish ??= 'cancelled'
      lane.guesses?.close()
    }
    const failure =
      error instanceof PeerError
        ? error
        : new PeerError('engine_failed', `The engine could not compute this: ${messageOf(error)}.`)
    this.#components.outbox.fail(run.id, failure.code, failure.message, failure.param)
  }

  /** What is guessed behind the tokens of a choice that is watched, with what is held of those. */
  preview(lane: Lane): void {
    const { run, guesses, choice } = lane
    if (!run.watched || guesses === undefined) return
    const { outbox, tokens } = this.#components
    let index = lane.delivered
    for (const { ids, text } of lane.text.preview(guesses.open, (id) => tokens.bytes(id))) {
      const drafter = guesses.by
      outbox.add(run.id, { type: 'provisional', choice, index, ids, text, drafter })
      index += ids.length
      lane.shown = index
    }
  }

  report(now: number): void {
    let queued = 0
    for (const run of this.#runs.values()) {
      const begun = run.lanes.some(({ sequence }) => sequence !== undefined)
      const writing = run.lanes.some(({ prefilling }) => !prefilling)
      if (!writing && now - run.reportedAt >= PROGRESS_MS) {
        run.reportedAt = now
        this.#components.outbox.add(run.id, run.progress(begun ? 0 : queued))
      }
      queued++
    }
  }

  #advance(lane: Lane, { token, logprob }: Drawn): void {
    const { tokens } = this.#components
    if (token < 0) {
      this.fail(lane.run, new Error('no token is left to choose from'))
      return
    }
    const isEnd = tokens.isEnd(token)
    if (isEnd ? lane.guesses?.refute() : lane.guesses?.settle(token, lane.generated)) {
      this.#rollBack(lane, lane.generated, 'token_mismatch')
    }
    if (isEnd) {
      this.finish(lane, 'stop')
    } else {
      const at = lane.prompt.tokens.length + lane.generated
      if (lane.sequence !== undefined) lane.sequence.tokens[at] = token
      lane.generated++
      this.#deliver(lane, lane.text.push(token, tokens.bytes(token), logprob))
      if (lane.text.stopped) this.finish(lane, 'stop')
      else if (lane.generated >= lane.limit) this.finish(lane, 'length')
    }
    if (lane.finish !== undefined) this.settle(lane.run)
  }

  #deliver(lane: Lane, settled: Settled | undefined): void {
    if (settled === undefined) return
    this.#components.outbox.add(lane.run.id, lane.chunk(settled))
    lane.guesses?.delivered(lane.delivered)
  }

  /** Of what was shown and is in no answer. */
  #rollBack(lane: Lane, from: number, reason: RollbackReason): void {
    if (lane.shown <= from) return
    lane.shown = from
    const { run, choice } = lane
    this.#components.outbox.add(run.id, { type: 'rollback', choice, from, reason })
  }
}
