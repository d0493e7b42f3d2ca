import type { Drafter, Drafts, Place } from './drafter.ts'

/** Of one choice: some windows ahead, as far as a long way takes. */
const HELD_MAX = 64

/** Tells who drafts elsewhere of tokens of a choice, from this position of its answer on. */
export type Tell = (choice: number, first: number, ids: number[]) => void

/** Guesses for one run that come from elsewhere, in their own time: late, ahead, or never. */
export class Posted implements Drafter {
  readonly name: string
  readonly #tell: Tell
  readonly #boxes = new Map<number, Box>()

  constructor(name: string, tell: Tell) {
    this.name = name
    this.#tell = tell
  }

  begin(place: Place): Drafts {
    const box = new Box(place, (first, ids) => this.#tell(place.choice, first, ids))
    this.#boxes.set(place.choice, box)
    return box
  }

  /** Guesses for a choice's answer from this position on; those it has for later ones are void. */
  post(choice: number, first: number, ids: readonly number[]): void {
    this.#boxes.get(choice)?.post(first, ids)
  }
}

class Box implements Drafts {
  readonly #place: Place
  readonly #tell: (first: number, ids: number[]) => void
  /** Tokens of the answer. */
  #length: number
  #first = 0
  #ids: readonly number[] = []
  #ended = false

  constructor(place: Place, tell: (first: number, ids: number[]) => void) {
    this.#place = place
    this.#tell = tell
    this.#length = place.length - place.promptLength
    if (this.#length > 0) tell(0, this.#written(0))
  }

  post(first: number, ids: readonly number[]): void {
    if (this.#ended) return
    const kept = first - this.#first
    const joins = kept >= 0 && kept <= this.#ids.length
    const all = joins ? [...this.#ids.slice(0, kept), ...ids] : [...ids]
    if (!joins) this.#first = first
    this.#ids = all
    this.#align()
    this.#ids = this.#ids.slice(0, HELD_MAX)
  }

  propose(count: number): readonly number[] {
    this.#align()
    return this.#first === this.#length ? this.#ids.slice(0, count) : []
  }

  committed(count: number): void {
    const first = this.#length
    this.#length += count
    this.#tell(first, this.#written(first))
  }

  end(): void {
    this.#ended = true
    this.#ids = []
  }

  /** What was guessed of tokens that are there by now is of use only where it is what they are. */
  #align(): void {
    const { tokens, promptLength } = this.#place
    const past = Math.min(Math.max(this.#length - this.#first, 0), this.#ids.length)
    for (let at = 0; at < past; at++) {
      if (this.#ids[at] === tokens[promptLength + this.#first + at]) continue
      this.#ids = []
      return
    }
    this.#ids = this.#ids.slice(past)
    this.#first += past
  }

  #written(first: number): number[] {
    const { tokens, promptLength } = this.#place
    return Array.from(tokens.subarray(promptLength + first, promptLength + this.#length))
  }
}
