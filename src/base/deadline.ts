import type { Clock } from './clock.ts'
import { DeadlineError } from './errors.ts'

export interface Deadline {
  ms: number
  /** What takes too long then, as the error says it. */
  what: string
  signal: AbortSignal
}

/** Runs `task` with a signal that aborts after `ms`, with a DeadlineError, or with `signal`. */
export async function within<T>(
  clock: Clock,
  { ms, what, signal }: Deadline,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const limit = new AbortController()
  const onAbort = () => limit.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const cancel = clock.after(ms, () => limit.abort(new DeadlineError(what, ms)))
  try {
    return await task(limit.signal)
  } finally {
    cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

/** Waits for what others may wait for too: the signal ends this wait, not the work. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    // Nobody else may be waiting for it, and a failure that nobody heard of ends the process.
    work.catch(() => {})
    throw signal.reason
  }
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
