import type { Clock } from '../../base/clock.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import type { Chunk, Generate } from '../../wire/chunk.ts'

export interface PatienceOptions {
  /** From the request to its first token or vector: queue, loading and prompt together. */
  firstByteMs: number
  /** From one chunk of a running answer to the next. */
  idleMs: number
}

export const defaultPatience: PatienceOptions = { firstByteMs: 120_000, idleMs: 60_000 }

/**
 * The same Generate, which gives up on an answer that does not come. Its `done` is that of a whole
 * answer: one that was cancelled ends with an error.
 */
export function patient(
  generate: Generate,
  { clock }: { clock: Clock },
  options: PatienceOptions,
): Generate {
  return async function* (job, { signal }) {
    const stop = new AbortController()
    const onAbort = () => stop.abort(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
    const chunks = generate(job, { signal: stop.signal })[Symbol.asyncIterator]()
    const watch = new Watch(clock)
    const firstByteAt = clock.elapsed() + options.firstByteMs
    let begun = false
    let ended = false
    try {
      for (;;) {
        const next: IteratorResult<Chunk> = begun
          ? await watch.over(chunks.next(), clock.elapsed() + options.idleMs, idle(options))
          : await watch.over(chunks.next(), firstByteAt, late(options))
        ended = next.done === true
        if (next.done) return
        const value: Chunk = next.value
        begun ||= value.type === 'tokens' || value.type === 'vectors'
        if (value.type === 'done' && value.finish.includes('cancelled')) throw cancelled(signal)
        yield value
      }
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : error
    } finally {
      watch.end()
      signal.removeEventListener('abort', onAbort)
      if (!ended) {
        stop.abort()
        // Not awaited: what kept us waiting may keep this waiting too.
        chunks.return?.().catch(() => {})
      }
    }
  }
}

/** Deadlines of many short waits, one after the other, for the price of one timer. */
class Watch {
  readonly #clock: Clock
  #deadline = 0
  #firesAt = Number.POSITIVE_INFINITY
  #giveUp = () => {}
  #cancel = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  over<T>(wait: Promise<T>, deadline: number, tooLate: () => PeerError): Promise<T> {
    this.#deadline = deadline
    if (deadline < this.#firesAt) this.#arm()
    return new Promise((resolve, reject) => {
      this.#giveUp = () => reject(tooLate())
      wait.then(resolve, reject)
    })
  }

  end(): void {
    this.#cancel()
  }

  #arm(): void {
    this.#cancel()
    this.#firesAt = this.#deadline
    this.#cancel = this.#clock.after(Math.max(0, this.#deadline - this.#clock.elapsed()), () => {
      if (this.#clock.elapsed() < this.#deadline) {
        this.#arm()
        return
      }
      // A wait that is over already does not care; the next one needs a new timer.
      this.#firesAt = Number.POSITIVE_INFINITY
      this.#giveUp()
    })
  }
}

const cancelled = (signal: AbortSignal) =>
  signal.aborted
    ? new PeerError('client_closed', 'The client left before the end of the answer.')
    : new PeerError('shutting_down', 'The answer was stopped before its end. Ask again.')

const idle =
  ({ idleMs }: PatienceOptions) =>
  () =>
    new DeadlineError('The next token', idleMs)

const late =
  ({ firstByteMs }: PatienceOptions) =>
  () =>
    new PeerError(
      'first_byte_timeout',
      `No token came within ${firstByteMs} ms. The model may be busy or loading: try again.`,
    )
