import { isAbort, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'

/** What runs beside its caller; the owner stops it and waits for it. */
export class Background {
  readonly #logger: Logger
  readonly #stopped = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Aborted when all of it is to end. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  run(task: (signal: AbortSignal) => Promise<unknown>): void {
    if (this.signal.aborted) return
    const running = this.#guarded(task).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.all(this.#running)
  }

  async #guarded(task: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    try {
      await task(this.signal)
    } catch (error) {
      if (this.signal.aborted || isAbort(error)) return
      this.#logger.error('a part of it failed; restart the peer', {
        error: messageOf(error),
      })
    }
  }
}
