import { type Clock, sleepOn } from '../../src/simulation.ts'
import type { World } from './world.ts'

/** Where wall clocks begin that are right, in milliseconds since 1970. */
const EPOCH = 1_800_000_000_000

/** Time as one process sees it: its wall clock may be wrong, and it may stand still or end. */
export class PeerClock implements Clock {
  readonly #world: World
  readonly #beganAt: number
  #skewMs: number
  #isFrozen = false
  #hasEnded = false
  /** Tasks that became due while the process stood still. */
  #late: (() => void)[] = []
  #pending = 0

  constructor(world: World, skewMs: number) {
    this.#world = world
    this.#beganAt = world.now
    this.#skewMs = skewMs
  }

  now(): number {
    return EPOCH + this.#world.now + this.#skewMs
  }

  elapsed(): number {
    return this.#world.now - this.#beganAt
  }

  after(ms: number, task: () => void): () => void {
    let isOn = true
    this.#pending++
    const off = () => {
      if (!isOn) return
      isOn = false
      this.#pending--
    }
    const fire = () => {
      if (!isOn) return
      off()
      task()
    }
    const cancel = this.#world.after(ms, () => {
      if (this.#hasEnded) return
      if (this.#isFrozen) this.#late.push(fire)
      else fire()
    })
    return () => {
      cancel()
      off()
    }
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal)
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#pending
  }

  /** The wall clock is set; what is measured in elapsed time does not jump. */
  set(skewMs: number): void {
    this.#skewMs = skewMs
  }

  freeze(): void {
    this.#isFrozen = true
  }

  /** What was due meanwhile comes now, and late. */
  thaw(): void {
    this.#isFrozen = false
    for (const fire of this.#late.splice(0)) fire()
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** The process ends: nothing in it happens any more. */
  end(): void {
    this.#hasEnded = true
    this.#late = []
  }
}

/** What waits in a process that has ended. One for each: a shared one would keep them all. */
export const never = (): Promise<never> => new Promise(() => {})
