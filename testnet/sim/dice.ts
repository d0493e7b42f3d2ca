import { createHash } from 'node:crypto'
import type { Random } from '../../src/simulation.ts'

/** Randomness that is the same for the same label: a stream of its own for each purpose (sfc32). */
export class Dice implements Random {
  readonly #label: string
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(label: string) {
    const digest = createHash('sha256').update(label).digest()
    this.#label = label
    this.#a = digest.readUInt32LE(0)
    this.#b = digest.readUInt32LE(4)
    this.#c = digest.readUInt32LE(8)
  }

  /** Another stream, which does not depend on how much was drawn of this one. */
  of(purpose: string): Dice {
    return new Dice(`${this.#label}/${purpose}`)
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#next() & 255)
  }

  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit)
  }

  /** From `min` up to and with `max`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1)
  }

  chance(share: number): boolean {
    return this.below(1_000_000) < share * 1_000_000
  }

  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** So many of them, each once, in an order by chance. */
  some<T>(items: readonly T[], count: number): T[] {
    const left = [...items]
    const chosen: T[] = []
    while (chosen.length < count && left.length > 0) {
      chosen.push(...left.splice(this.below(left.length), 1))
    }
    return chosen
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count) >>> 0
    this.#count = (this.#count + 1) >>> 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) >>> 0
    this.#c = (this.#c + sum) >>> 0
    return sum
  }
}
