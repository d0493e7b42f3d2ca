/** Fewer shared tokens than this are sooner computed again than copied, or traded for a cache. */
export const SHARE_TOKENS_MIN = 32

/** One of the context's sequences: what its memory holds, and for whom. */
export interface Sequence {
  readonly index: number
  /** The first `length` are in memory; behind them come those still to be computed. */
  readonly tokens: Uint32Array
  length: number
  /** Whose tokens these are. Nobody else's prompt may be compared with them. */
  scope: string
  busy: boolean
  usedAt: number
}

export interface Pick {
  sequence: Sequence
  /** Tokens of the prompt that need not be computed. */
  keep: number
  /** Where they are to be copied from, when they are not in `sequence` itself. */
  source?: Sequence
}

export interface MemoryTraits {
  /** A sequence can be cut anywhere; otherwise it can only grow or be wiped. */
  trims: boolean
  /** What a sequence holds is used for nothing else. */
  forgets?: boolean | undefined
}

/** Decides which sequence computes a prompt; acts on none. */
export class SequencePool {
  readonly sequences: readonly Sequence[]
  readonly #traits: MemoryTraits
  #uses = 0

  constructor(count: number, contextLength: number, traits: MemoryTraits) {
    this.#traits = traits
    this.sequences = Array.from({ length: count }, (_, index) => ({
      index,
      tokens: new Uint32Array(contextLength),
      length: 0,
      scope: '',
      busy: false,
      usedAt: 0,
    }))
  }

  /** Undefined when every sequence is busy. The last token is never kept: its logits are needed. */
  pick(scope: string, prompt: Uint32Array): Pick | undefined {
    const free = this.sequences.filter(({ busy }) => !busy)
    const oldest = free.toSorted((a, b) => a.usedAt - b.usedAt)[0]
    if (oldest === undefined) return undefined
    if (this.#traits.forgets) return { sequence: oldest, keep: 0 }
    const spare = free.find(({ length }) => length === 0) ?? oldest
    const own = this.#best(free, scope, prompt)
    const running = this.#best(
      this.sequences.filter(({ busy }) => busy),
      scope,
      prompt,
    )
    if (running !== undefined && running.keep >= (own?.keep ?? 0) + SHARE_TOKENS_MIN) {
      return { sequence: spare, keep: running.keep, source: running.sequence }
    }
    if (own === undefined) return { sequence: spare, keep: 0 }
    const diverges = own.keep < own.sequence.length
    const worthCopying = spare.length === 0 && own.keep >= SHARE_TOKENS_MIN
    if (diverges && worthCopying && this.#traits.trims) {
      return { sequence: spare, keep: own.keep, source: own.sequence }
    }
    return own
  }

  take(sequence: Sequence, scope: string, keep: number, prompt: Uint32Array): void {
    sequence.busy = true
    sequence.scope = scope
    sequence.length = keep
    sequence.tokens.set(prompt)
  }

  free(sequence: Sequence): void {
    sequence.busy = false
    sequence.usedAt = ++this.#uses
  }

  #best(among: Sequence[], scope: string, prompt: Uint32Array): Pick | undefined {
    let best: Pick | undefined
    for (const sequence of among) {
      if (sequence.scope !== scope || sequence.length === 0) continue
      const keep = this.#usable(sequence, prompt)
      if (keep > (best?.keep ?? 0)) best = { sequence, keep }
    }
    return best
  }

  /** A short common start is no reason to give up the rest of what a sequence holds. */
  #usable(sequence: Sequence, prompt: Uint32Array): number {
    const common = commonLength(sequence, prompt)
    if (common === sequence.length) return common
    if (!this.#traits.trims) return 0
    return common >= SHARE_TOKENS_MIN || common * 2 >= prompt.length ? common : 0
  }
}

function commonLength(sequence: Sequence, prompt: Uint32Array): number {
  const most = Math.min(sequence.length, prompt.length - 1)
  let common = 0
  while (common < most && sequence.tokens[common] === prompt[common]) common++
  return common
}
