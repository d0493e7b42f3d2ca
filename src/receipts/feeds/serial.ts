import { BusyError } from '../../base/errors.ts'

/** One after the other, in the order in which they were asked for. */
export class Serial {
  readonly #waitingMax: number
  #waiting = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#waitingMax) {
      throw new BusyError('The log is behind with writing. Ask again in a second.')
    }
    this.#waiting += 1
    const done = this.#last.then(task)
    this.#last = done.catch(() => {})
    try {
      return await done
    } finally {
      this.#waiting -= 1
    }
  }

  /** Resolves when all that was asked for is over. */
  async idle(): Promise<void> {
    await this.#last
  }
}
