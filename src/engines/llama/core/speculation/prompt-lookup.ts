import type { Drafter, Drafts } from './drafter.ts'

/** Who says the same last tokens again goes on as the last time. The longest that is known wins. */
const LENGTHS = [4, 3, 2] as const
const LENGTH_MAX = LENGTHS[0]

/** 256 KB a choice. What does not fit takes the place of something older. */
const ENTRIES_MAX = 1 << 16

/** Tokens of a long prompt are indexed in parts of this size, one a guess: some 0.1 ms. */
const INDEX_STEP = 2048

/** Finds the end of an answer in the prompt or in the answer itself, and guesses what came behind it there. */
export const promptLookup: Drafter = {
  name: 'prompt',
  begin: ({ tokens, length }) => new Lookup(tokens, length),
}

class Lookup implements Drafts {
  readonly #tokens: Uint32Array
  #length: number
  /** The tokens before this one are behind some sequence that is in the table. */
  #indexed = 1
  /** By a sequence's hash: where the token behind it was, the last time. */
  #behind: Uint32Array | undefined

  constructor(tokens: Uint32Array, length: number) {
    this.#tokens = tokens
    this.#length = length
  }

  propose(count: number): number[] {
    const table = this.#index()
    for (const length of LENGTHS) {
      if (length > this.#length) continue
      const at = table[this.#slot(this.#length, length, table.length)] ?? 0
      if (this.#same(at, length)) return this.#copy(at, count)
    }
    return []
  }

  committed(count: number): void {
    this.#length += count
  }

  end(): void {}

  #index(): Uint32Array {
    this.#behind ??= new Uint32Array(sizeFor(this.#tokens.length))
    const until = Math.min(this.#length, this.#indexed + INDEX_STEP)
    for (let at = this.#indexed; at < until; at++) {
      for (const length of LENGTHS) {
        if (length <= at) this.#behind[this.#slot(at, length, this.#behind.length)] = at
      }
    }
    this.#indexed = until
    return this.#behind
  }

  /** The place of the sequence that ends before `end`. */
  #slot(end: number, length: number, size: number): number {
    let hash = length
    for (let at = end - length; at < end; at++) {
      hash = Math.imul(hash ^ (this.#tokens[at] ?? 0), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash & (size - 1)
  }

  /** Two sequences may have one place. */
  #same(at: number, length: number): boolean {
    if (at < length) return false
    for (let back = 1; back <= length; back++) {
      if (this.#tokens[at - back] !== this.#tokens[this.#length - back]) return false
    }
    return true
  }

  /** Where it reaches the end of the answer, what is repeated begins anew. */
  #copy(at: number, count: number): number[] {
    const period = this.#length - at
    return Array.from({ length: count }, (_, ahead) => this.#tokens[at + (ahead % period)] ?? 0)
  }
}

function sizeFor(contextLength: number): number {
  const wanted = contextLength * LENGTHS.length
  return Math.min(ENTRIES_MAX, 1 << Math.ceil(Math.log2(Math.max(wanted, LENGTH_MAX))))
}
