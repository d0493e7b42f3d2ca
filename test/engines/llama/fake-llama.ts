import type { Clock } from '../../../src/base/clock.ts'
import type {
  NativeContext,
  NativeModel,
  NativeSampler,
  SamplerConfig,
} from '../../../src/engines/llama/core/binding.ts'
import { passes } from '../../../src/engines/llama/core/speculation/window.ts'

/**
 * Stands for llama.cpp where only the answer matters: what comes next is a hash of all that a
 * sequence's memory holds, so one token too many or too few in there makes another answer.
 */
export class FakeLlama implements NativeContext {
  /** Sizes of all batches so far. */
  readonly batches: number[] = []
  time = 0
  /** What a pass of so many tokens takes. */
  msOf = (tokens: number) => tokens
  /** No answer ends by itself. */
  endless = false
  /** In so much of all places it thinks of something else. */
  wrong = 0
  /** Called while a batch is being computed. */
  during: (() => void) | undefined
  readonly #held = new Map<number, number[]>()
  #logits: number[] = []
  #lengths: number[] = []
  #room = 0
  #size = 0

  readonly clock: Clock = {
    now: () => this.time,
    elapsed: () => this.time,
    after: () => () => {},
    sleep: async () => {},
  }

  initBatch(size: number): void {
    this.#room = size
    this.#size = size
    this.#logits = []
    this.#lengths = []
  }

  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array) {
    const held = this.#held.get(sequence) ?? []
    if (held.length !== position) throw new Error(`position ${position} after ${held.length}`)
    if (tokens.some((token) => token >= VOCABULARY)) throw new Error('no such token')
    this.#room -= tokens.length
    this.#lengths.push(tokens.length)
    held.push(...tokens)
    this.#held.set(sequence, held)
    return logits.map(
      (at) => this.#logits.push(held.slice(0, position + at + 1).reduce(mix, 1)) - 1,
    )
  }

  async decodeBatch(): Promise<void> {
    if (this.#room !== 0) throw new Error('The batch is not full.')
    this.batches.push(this.#size)
    for (const pass of passes(this.#lengths)) this.time += this.msOf(pass)
    this.during?.()
  }

  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>
  sampleToken(): Promise<never>
  async sampleToken(logitIndex?: number, sampler?: NativeSampler, ...asked: unknown[]) {
    const right = this.#logits[logitIndex ?? -1]
    const logits = right !== undefined && mix(right, 9) % 100 < this.wrong * 100 ? right + 1 : right
    if (logits === undefined || !(sampler instanceof FakeSampler)) throw new Error('no logits')
    if (asked.length === 0) return sampler.draw(logits, this.endless)
    const [filter] = asked[2] === true ? [[1]] : (asked[2] as [number[]])
    const named = filter.flatMap((token) => [token, -(mix(logits, token) % 100) / 10])
    return [0, undefined, undefined, [...named, VOCABULARY, 0], 2]
  }

  removeTokenCellsFromSequence(sequence: number, start: number): boolean {
    this.#held.get(sequence)?.splice(start)
    return true
  }

  disposeSequence(sequence: number): void {
    this.#held.delete(sequence)
  }

  async copySequenceStateFromOtherSequence(target: number, source: number): Promise<number> {
    this.#held.set(target, [...(this.#held.get(source) ?? [])])
    return 0
  }

  setThreads(): void {}
}

/** Draws mostly what is likeliest; penalties change that by each token that was drawn before. */
export class FakeSampler implements NativeSampler {
  #config: SamplerConfig = {}
  #seen = 0

  applyConfig(config: SamplerConfig): void {
    this.#config = { ...config }
    this.#seen = Array.from(config.repeatPenaltyTokens ?? []).reduce(mix, 0)
  }

  draw(logits: number, endless: boolean): number {
    const { temperature = 0, seed = 0, repeatPenalty } = this.#config
    const noise = temperature > 0 && mix(logits, seed) % 10 < 3 ? seed : 0
    const hash = mix(mix(logits, noise), repeatPenalty === undefined ? 0 : this.#seen)
    const token = hash % 40 === 0 && !endless ? END : (hash >>> 8) % (VOCABULARY - 1)
    this.#seen = mix(this.#seen, token)
    return token
  }

  dispose(): void {}
}

/** Letters, words, bytes that are a character only together, and one that says nothing. */
const pieces = ['a', 'b', 'ab', ' the', '<0xE2>', '<0x82>', '<0xAC>', '<0xF0>', '', ' is', '\u20ac']
export const END = pieces.length
export const VOCABULARY = pieces.length + 1

const BYTE = 64
const CONTROL = 8
const NORMAL = 4

/** To be read as `spm`. */
export const fakeModel: NativeModel = {
  tokenize: () => new Uint32Array(0),
  detokenize: () => '',
  getTokenString: (token) => pieces[token],
  getTokenAttributes(token) {
    const piece = pieces[token] ?? ''
    if (piece === '') return CONTROL
    return piece.startsWith('<0x') ? BYTE : NORMAL
  },
  isEogToken: (token) => token === END,
}

export function mix(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ (value + 0x9e3779b9), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
