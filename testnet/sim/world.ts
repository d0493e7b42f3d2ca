/** Fewer are not worth the trouble. */
const OFF_MIN = 1_000

interface Timer {
  at: number
  /** Of those due at the same time, the one that was set first comes first. */
  number: number
  task: (() => void) | undefined
}

/** Time of all peers. It goes from one event to the next, once nothing is left to do that needs none. */
export class World {
  /** A heap: each is due no later than the two at 2i + 1 and 2i + 2. */
  #timers: Timer[] = []
  /** Of them, those that were called off. */
  #off = 0
  #now = 0
  #made = 0

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now
  }

  /** Calls `task` after so many milliseconds; returns how to call it off. */
  after(ms: number, task: () => void): () => void {
    // As real timers do, so that nothing goes on for ever without time passing.
    const at = this.#now + Math.max(1, Math.ceil(ms))
    const timer: Timer = { at, number: this.#made++, task }
    if (Number.isFinite(at)) this.#push(timer)
    return () => {
      if (timer.task === undefined) return
      timer.task = undefined
      this.#off++
      if (this.#off > OFF_MIN && this.#off > this.#timers.length / 2) this.#forgetOff()
    }
  }

  /** Lets time pass until then. */
  async run(until: number): Promise<void> {
    await settled()
    for (;;) {
      const next = this.#timers[0]
      if (next === undefined || next.at > until) break
      this.#now = next.at
      for (let due = this.#timers[0]; due !== undefined && due.at <= this.#now; ) {
        this.#pop()
        const { task } = due
        if (task === undefined) this.#off--
        due.task = undefined
        task?.()
        due = this.#timers[0]
      }
      await settled()
    }
    this.#now = until
  }

  /** Most timers are called off long before they are due. */
  #forgetOff(): void {
    const on = this.#timers.filter(({ task }) => task !== undefined)
    this.#timers = on.sort((a, b) => a.at - b.at || a.number - b.number)
    this.#off = 0
  }

  #push(timer: Timer): void {
    const timers = this.#timers
    let at = timers.length
    timers.push(timer)
    while (at > 0) {
      const above = (at - 1) >>> 1
      const parent = timers[above] as Timer
      if (isBefore(parent, timer)) break
      timers[at] = parent
      at = above
    }
    timers[at] = timer
  }

  #pop(): void {
    const timers = this.#timers
    const last = timers.pop()
    if (last === undefined || timers.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= timers.length) break
      const right = timers[below + 1]
      if (right !== undefined && isBefore(right, timers[below] as Timer)) below++
      const child = timers[below] as Timer
      if (isBefore(last, child)) break
      timers[at] = child
      at = below
    }
    timers[at] = last
  }
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.at < b.at || (a.at === b.at && a.number < b.number)

/** Resolves when nothing is left to do that needs no time: one turn runs every microtask. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
