import { isAbort, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Underway } from '../../base/underway.ts'

interface Running {
  ending: AbortController
  ended: Promise<void>
}

/** What runs beside its caller; the owner stops it and waits for it. */
export class Background {
  readonly #logger: Logger
  readonly #stopped = new AbortController()
  readonly #running = new Underway<Running>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Aborted when all of it is to end. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  /** Each task has a signal of its own: at one of all, who listens would be looked for among hundreds. */
  run(task: (signal: AbortSignal) => Promise<unknown>): void {
    if (this.signal.aborted) return
    const ending = new AbortController()
    const ended = this.#guarded(task, ending.signal)
    const leave = this.#running.add({ ending, ended })
    void ended.then(leave)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    const running = this.#running.all()
    for (const { ending } of running) ending.abort()
    await Promise.all(running.map(({ ended }) => ended))
  }

  async #guarded(
    task: (signal: AbortSignal) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await task(signal)
    } catch (error) {
      if (signal.aborted || isAbort(error)) return
      this.#logger.error('a part of it failed; restart the peer', {
        error: messageOf(error),
      })
    }
  }
}
