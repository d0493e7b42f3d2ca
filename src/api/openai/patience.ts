import type { Clock } from '../../base/clock.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { Watch } from '../../base/watch.ts'
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
