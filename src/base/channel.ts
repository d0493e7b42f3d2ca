import { BusyError } from './errors.ts'

/** A reader that never quite catches up must not hold all it ever read. */
const FORGET_AFTER = 256

/**
 * A bounded hand-over between one producer and one consumer.
 * `push` never waits: a producer that runs ahead of the limit gets a BusyError and decides itself.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #limit: number
  readonly #items: T[] = []
  #wake: (() => void) | undefined
  #next = 0
  #closed = false
  #error: unknown

  constructor(limit: number) {
    this.#limit = limit
  }

  /** How many items wait to be read. */
  get size(): number {
    return this.#items.length - this.#next
  }

  push(item: T): void {
    if (this.#closed) return
    if (this.size >= this.#limit) {
      throw new BusyError(`The reader is more than ${this.#limit} items behind.`)
    }
    this.#items.push(item)
    this.#wake?.()
  }

  /** Ends the iteration once everything pushed so far was read; with an error, it throws then. */
  close(error?: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#wake?.()
  }

  #forgetRead(): void {
    this.#items.splice(0, this.#next)
    this.#next = 0
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#next < this.#items.length) {
        const item = this.#items[this.#next++] as T
        if (this.#next >= FORGET_AFTER) this.#forgetRead()
        yield item
      }
      this.#forgetRead()
      if (this.#closed) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }
}
