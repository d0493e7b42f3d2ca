import { Channel } from '../../base/channel.ts'
import type { Chunk, Done } from '../../wire/chunk.ts'
import type { Drafting } from '../../wire/drafter.ts'
import type { Job } from '../../wire/job.ts'
import { finishesOf } from '../lanes.ts'

/** Fewer tokens, in less time, arrive in one go: that is how fast they were carried, not decoded. */
const RATE_TOKENS_MIN = 16
const RATE_MS_MIN = 50

/** Guesses of some decodes. */
const GHOST_LAG_MAX = 64

const isGhost = ({ type }: Chunk): boolean => type === 'provisional' || type === 'rollback'

/** One job on its way through the engine process. */
export class Run {
  readonly number: number
  readonly job: Job
  readonly lagMax: number
  readonly channel: Channel<Chunk>
  readonly #lanes: number
  /** The process has it. */
  sent = false
  /** Some of the answer has gone out: starting over would repeat or contradict it. */
  delivered = false
  retried = false
  ended = false
  done: Done | undefined
  /** Who guesses elsewhere what it says. */
  drafting: Drafting | undefined
  cancelTimer: (() => void) | undefined
  inputTokens: number | undefined
  outputTokens = 0
  #firstTokensAt: number | undefined
  #lastTokensAt = 0
  #firstTokens = 0

  constructor(number: number, job: Job, lagMax: number) {
    this.number = number
    this.job = job
    this.lagMax = lagMax
    this.channel = new Channel(lagMax)
    this.#lanes = finishesOf(job.work)
  }

  /** Behind us, choices index arrays: one beyond the job's would break whoever reads. */
  expects(chunk: Chunk): boolean {
    const { work } = this.job
    if (chunk.type === 'tokens') return chunk.choice < this.#lanes
    if (chunk.type === 'provisional' || chunk.type === 'rollback') {
      return this.job.watched === true && chunk.choice < this.#lanes
    }
    if (chunk.type === 'done') return chunk.finish.length === this.#lanes
    if (chunk.type !== 'vectors') return true
    return work.kind === 'embedding' && chunk.first + chunk.vectors.length <= work.inputs.length
  }

  /**
   * False for what the reader has had already, before the process was restarted, and for guesses that
   * it would see too late.
   */
  count(chunk: Chunk, now: number): boolean {
    if (chunk.type === 'accepted') {
      const first = this.inputTokens === undefined
      this.inputTokens = chunk.inputTokens
      return first
    }
    if (chunk.type === 'tokens') this.#countTokens(chunk.ids.length, now)
    if (chunk.type === 'tokens' || chunk.type === 'vectors') this.delivered = true
    return !isGhost(chunk) || this.channel.size < GHOST_LAG_MAX
  }

  /** Who drafted is gone; what it had guessed is only compared, as it was before. */
  drafterLost(): void {
    this.drafting = undefined
    if (this.job.watched !== true || !this.delivered || this.ended) return
    if (this.channel.size >= GHOST_LAG_MAX) return
    const [begun] = this.job.resume ?? []
    const from = (begun?.ids.length ?? 0) + this.outputTokens
    this.channel.push({ type: 'rollback', choice: 0, from, reason: 'node_lost' })
  }

  /** `done`: the engine's own, which counts whose guesses are in the answer. */
  draftingEnds(done: Done | undefined): void {
    if (this.drafting === undefined) return
    const { name } = this.drafting
    const counts = done?.drafting?.find(({ drafter }) => drafter === name)
    this.drafting.end(done && (counts?.accepted ?? 0))
  }

  /** Decoding alone, as reading the prompt ends with the first token; undefined for short answers. */
  tokensPerSecond(): number | undefined {
    const ms = this.#lastTokensAt - (this.#firstTokensAt ?? this.#lastTokensAt)
    const tokens = this.outputTokens - this.#firstTokens
    if (tokens < RATE_TOKENS_MIN || ms < RATE_MS_MIN) return undefined
    return (tokens * 1000) / ms
  }

  #countTokens(count: number, now: number): void {
    this.outputTokens += count
    this.#lastTokensAt = now
    if (this.#firstTokensAt === undefined) {
      this.#firstTokensAt = now
      this.#firstTokens = count
    }
  }
}
