import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'

/** The token behind those of an answer so far; undefined: it ends there. */
export type Rule = (ids: readonly number[]) => number | undefined

/** An engine that writes by a rule, one token each time that it is its turn. */
export class FakeWriter {
  readonly jobs: Job[] = []
  running = 0
  readonly #rule: Rule
  readonly #turn: () => Promise<unknown>

  constructor(rule: Rule, turn: () => Promise<unknown> = () => Promise.resolve()) {
    this.#rule = rule
    this.#turn = turn
  }

  readonly generate: Generate = (job, { signal }) => this.#write(job, signal)

  async *#write(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    if (job.work.kind === 'embedding') throw new Error('it writes no vectors')
    this.jobs.push(job)
    this.running++
    try {
      const ids = [...(job.resume?.[0]?.ids ?? [])]
      const begun = ids.length
      const { maxTokens = 64 } = job.work.sampling
      yield { type: 'accepted', inputTokens: 3 }
      let finish: 'stop' | 'length' | 'cancelled' = 'length'
      while (ids.length < maxTokens) {
        await this.#turn()
        if (signal.aborted) finish = 'cancelled'
        const id = signal.aborted ? undefined : this.#rule(ids)
        if (id === undefined) {
          if (!signal.aborted) finish = 'stop'
          break
        }
        yield { type: 'tokens', choice: 0, index: ids.length, ids: [id], text: `${id} ` }
        ids.push(id)
      }
      const usage = { inputTokens: 3, cachedTokens: 0, outputTokens: ids.length - begun }
      yield { type: 'done', finish: [finish], usage }
    } finally {
      this.running--
    }
  }
}

/** Says something else than `rule` at these places. */
export const erring =
  (rule: Rule, isWrong: (place: number) => boolean): Rule =>
  (ids) => {
    const id = rule(ids)
    return id === undefined ? undefined : id + (isWrong(ids.length) ? 1 : 0)
  }

/** Depends on all that came before. */
export const hashing: Rule = (ids) =>
  ids.reduce((sum, id, at) => (Math.imul(sum ^ id, 0x85ebca6b) + at) >>> 0, 7) % 1_000
