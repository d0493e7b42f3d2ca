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
    const chunks = generate(job, { signal: AbortSignal.any([signal, stop.signal]) })[
      Symbol.asyncIterator
    ]()
    const firstByteAt = clock.elapsed() + options.firstByteMs
    let begun = false
    try {
      for (;;) {
        const next: IteratorResult<Chunk> = begun
          ? await within(clock, options.idleMs, chunks.next(), () => idle(options))
          : await within(clock, firstByteAt - clock.elapsed(), chunks.next(), () => late(options))
        if (next.done) return
        const chunk: Chunk = next.value
        begun ||= chunk.type === 'tokens' || chunk.type === 'vectors'
        if (chunk.type === 'done' && chunk.finish.includes('cancelled')) throw cancelled(signal)
        yield chunk
      }
    } catch (error) {
      throw signal.aborted ? cancelled(signal) : error
    } finally {
      stop.abort()
      // Not awaited: what kept us waiting may keep this waiting too.
      chunks.return?.().catch(() => {})
    }
  }
}

function within(
  clock: Clock,
  ms: number,
  next: Promise<IteratorResult<Chunk>>,
  tooLate: () => PeerError,
): Promise<IteratorResult<Chunk>> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, ms), () => reject(tooLate()))
    next.then(resolve, reject).finally(cancel)
  })
}

const cancelled = (signal: AbortSignal) =>
  signal.aborted
    ? new PeerError('client_closed', 'The client left before the end of the answer.')
    : new PeerError('shutting_down', 'The answer was stopped before its end. Ask again.')

const idle = ({ idleMs }: PatienceOptions) => new DeadlineError('The next token', idleMs)

const late = ({ firstByteMs }: PatienceOptions) =>
  new PeerError(
    'first_byte_timeout',
    `No token came within ${firstByteMs} ms. The model may be busy or loading: try again.`,
  )
