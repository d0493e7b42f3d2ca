/**
 * What several answers of one job hand to whoever reads the job. Nobody who writes is kept waiting; they
 * are told when too much lies here, and when there is room again.
 */
export class Inbox<T> {
  readonly #marks: { full: number; room: number }
  readonly #onFull: () => void
  readonly #onRoom: () => void
  #items: T[] = []
  #next = 0
  #isFull = false
  #wake: (() => void) | undefined
  #end: { error: unknown } | 'open' | 'closed' = 'open'

  constructor(
    marks: { full: number; room: number },
    { onFull, onRoom }: { onFull: () => void; onRoom: () => void },
  ) {
    this.#marks = marks
    this.#onFull = onFull
    this.#onRoom = onRoom
  }

  get size(): number {
    return this.#items.length - this.#next
  }

  push(item: T): void {
    if (this.#end !== 'open') return
    this.#items.push(item)
    if (!this.#isFull && this.size >= this.#marks.full) {
      this.#isFull = true
      this.#onFull()
    }
    this.#wake?.()
  }

  /** What lies here is read first. */
  close(): void {
    if (this.#end === 'open') this.#end = 'closed'
    this.#wake?.()
  }

  /** The same, and then it is thrown. */
  fail(error: unknown): void {
    if (this.#end === 'open') this.#end = { error }
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#next < this.#items.length) yield this.#take()
      if (this.#end === 'closed') return
      if (this.#end !== 'open') throw this.#end.error
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  #take(): T {
    const item = this.#items[this.#next++] as T
    if (this.#next === this.#items.length) {
      this.#items = []
      this.#next = 0
    }
    if (this.#isFull && this.size <= this.#marks.room) {
      this.#isFull = false
      this.#onRoom()
    }
    return item
  }
}
