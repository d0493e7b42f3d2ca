import type { TokenLogprob } from '../../../wire/chunk.ts'
import type { Sampling } from '../../../wire/job.ts'
import type { NativeContext, NativeSampler, SamplerConfig } from './binding.ts'
import type { TokenTable } from './token-table.ts'

export interface Drawn {
  /** -1: nothing was left to choose from. */
  token: number
  logprob?: TokenLogprob
}

export interface SamplerComponents {
  context: NativeContext
  tokens: TokenTable
  newSampler: () => NativeSampler
}

/** OpenAI's "ban": a finite -100 can still be outweighed. */
export const BAN = -100

/** Below it only the likeliest token is ever drawn; far below it a logit's share has no number any more. */
const TEMPERATURE_MIN = 1e-5

/**
 * With topP below 1 only this many of the likeliest tokens are looked at: to sort a vocabulary of
 * 150,000 for every token takes 12 ms, to find these 2 ms. Less likely ones are noise in any nucleus.
 */
const NUCLEUS_MAX = 1000

/**
 * Draws one choice's tokens. Otherwise no top-k: nobody asked for one, and leaving its key out is the
 * only way to have none without a sort of all tokens (0 sorts them, and the library's default is 40).
 */
export class Sampler {
  readonly #components: SamplerComponents
  readonly #sampling: Sampling
  readonly #draw: number
  readonly #config: SamplerConfig
  readonly #penalised: boolean
  readonly #main: NativeSampler
  #whole: NativeSampler | undefined
  #best: NativeSampler | undefined

  /** `room`: for tokens of the answer; `written`: those that it has already. */
  constructor(
    components: SamplerComponents,
    sampling: Sampling,
    { draw, room, written }: { draw: number; room: number; written: Uint32Array },
  ) {
    const isGreedy = sampling.temperature < TEMPERATURE_MIN
    this.#components = components
    this.#sampling = isGreedy ? { ...sampling, temperature: 0 } : sampling
    this.#draw = draw
    this.#penalised = sampling.presencePenalty !== 0 || sampling.frequencyPenalty !== 0
    this.#config = configOf(this.#sampling, this.#penalised ? { room, written } : undefined)
    this.#main = components.newSampler()
    this.#main.applyConfig(this.#config)
  }

  dispose(): void {
    this.#main.dispose()
    this.#whole?.dispose()
    this.#best?.dispose()
  }

  /** `generated`: this choice's tokens so far; their count is the position that is drawn. */
  async draw(logitIndex: number, generated: Uint32Array): Promise<Drawn> {
    const { context } = this.#components
    if (this.#sampling.temperature > 0) {
      // A seed for each position: what is drawn here depends on nothing that was drawn before.
      this.#config.seed = seedOf(this.#sampling.seed, this.#draw, generated.length)
      if (this.#penalised) this.#config.repeatPenaltyTokens = generated
      this.#main.applyConfig(this.#config)
    }
    const token = await context.sampleToken(logitIndex, this.#main)
    if (this.#sampling.logprobs === undefined || token < 0) return { token }
    return { token, logprob: await this.#logprob(logitIndex, token, this.#sampling.logprobs) }
  }

  /** Of the model's own distribution, before bias, penalties and temperature. */
  async #logprob(logitIndex: number, token: number, count: number): Promise<TokenLogprob> {
    const { context } = this.#components
    if (this.#whole === undefined) {
      this.#whole = this.#components.newSampler()
      this.#whole.applyConfig({})
    }
    const [, , , logits = [], weight = 1] = await context.sampleToken(
      logitIndex,
      this.#whole,
      false,
      false,
      [[token], false, false, true, 0],
      true,
    )
    // The greedy choice is always among them, so the largest is the one the weight is relative to.
    const largest = logits[1] ?? 0
    const shift = largest + Math.log(weight)
    const at = logits.findIndex((value, index) => index % 2 === 0 && value === token)
    const own = logits[at + 1] ?? Number.NEGATIVE_INFINITY
    const top = count === 0 ? [] : await this.#top(logitIndex, shift, count)
    return { ...this.#named(token, own - shift), top }
  }

  async #top(logitIndex: number, shift: number, count: number): Promise<TokenLogprob['top']> {
    if (this.#best === undefined) {
      this.#best = this.#components.newSampler()
      this.#best.applyConfig({ temperature: 1, topK: count, seed: 1 })
    }
    const { context } = this.#components
    const sampled = await context.sampleToken(logitIndex, this.#best, false, false, true, false)
    const logits = sampled[3] ?? []
    const top: TokenLogprob['top'] = []
    for (let at = 0; at + 1 < logits.length && top.length < count; at += 2) {
      top.push(this.#named(logits[at] ?? 0, (logits[at + 1] ?? 0) - shift))
    }
    return top
  }

  #named(token: number, logprob: number): Omit<TokenLogprob, 'top'> {
    const bytes = this.#components.tokens.bytes(token)
    return { token: new TextDecoder().decode(bytes), bytes: [...bytes], logprob }
  }
}

function configOf(
  sampling: Sampling,
  penalised: { room: number; written: Uint32Array } | undefined,
): SamplerConfig {
  const { temperature, topP, logitBias } = sampling
  return {
    // The generator begins anew where the seed is another one; no position has this one.
    ...(temperature > 0 ? { temperature, seed: RANDOM_SEED } : {}),
    ...(temperature > 0 && topP < 1 ? { topP, topK: NUCLEUS_MAX } : {}),
    ...(penalised === undefined
      ? {}
      : {
          repeatPenalty: 1,
          repeatPenaltyMaxTokens: penalised.room,
          repeatPenaltyTokens: penalised.written,
          repeatPenaltyPresencePenalty: sampling.presencePenalty,
          repeatPenaltyFrequencyPenalty: sampling.frequencyPenalty,
        }),
    ...(logitBias.length === 0
      ? {}
      : {
          tokenBiasKeys: Uint32Array.from(logitBias, ([token]) => token),
          tokenBiasValues: Float32Array.from(logitBias, ([, bias]) =>
            bias <= BAN ? Number.NEGATIVE_INFINITY : bias,
          ),
        }),
  }
}

/** llama.cpp reads this seed as "take a random one". */
const RANDOM_SEED = 0xffffffff

/** Neighbouring seeds give the generator neighbouring first draws, so mix all bits well. */
export function seedOf(seed: number, choice: number, position: number): number {
  let mixed = 0x9e3779b9
  for (const part of [seed, Math.floor(seed / 2 ** 32), choice, position]) {
    mixed = Math.imul(mixed ^ part, 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    mixed ^= mixed >>> 16
  }
  const unsigned = mixed >>> 0
  return unsigned === RANDOM_SEED ? 0 : unsigned
}
