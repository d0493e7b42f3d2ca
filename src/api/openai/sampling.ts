import { InvalidError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { limits, type Sampling } from '../../wire/job.ts'

/** The fields that chat and plain completions share, as their schemas let them through. */
export interface SamplingFields {
  temperature?: number | null
  top_p?: number | null
  seed?: number | null
  n?: number | null
  stop?: string | string[] | null
  presence_penalty?: number | null
  frequency_penalty?: number | null
  logit_bias?: Record<string, number> | null
}

export const DEFAULT_TEMPERATURE = 0.7

export function toSampling(fields: SamplingFields, random: Random): Sampling {
  return {
    temperature: fields.temperature ?? DEFAULT_TEMPERATURE,
    topP: fields.top_p ?? 1,
    seed: toSeed(fields.seed) ?? random.below(2 ** 32),
    choices: fields.n ?? 1,
    stop: toStops(fields.stop),
    presencePenalty: fields.presence_penalty ?? 0,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    logitBias: Object.entries(fields.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias]),
  }
}

/** OpenAI's seeds have 64 bits and a sign; samplers take 32 without. */
function toSeed(seed: number | null | undefined): number | undefined {
  return seed == null ? undefined : Number(BigInt.asUintN(32, BigInt(seed)))
}

function toStops(stop: string | string[] | null | undefined): string[] {
  const stops = typeof stop === 'string' ? [stop] : (stop ?? [])
  for (const [at, text] of stops.entries()) {
    if (Buffer.byteLength(text) > limits.stopBytesMax) {
      const param = typeof stop === 'string' ? 'stop' : `stop[${at}]`
      const most = `${limits.stopBytesMax} bytes`
      throw new InvalidError(param, `Invalid '${param}': a stop string has at most ${most}.`)
    }
  }
  return stops
}

export interface StreamFields {
  stream?: boolean | null
  stream_options?: { include_usage?: boolean | null; include_obfuscation?: boolean | null } | null
}

export interface StreamWishes {
  usage: boolean
  obfuscation: boolean
}

/** Undefined: the answer comes as a whole. */
export function toStreamWishes(fields: StreamFields): StreamWishes | undefined {
  const { stream, stream_options: options } = fields
  if (stream === true) {
    return {
      usage: options?.include_usage ?? false,
      obfuscation: options?.include_obfuscation ?? false,
    }
  }
  if (options == null) return undefined
  const message = "Invalid 'stream_options': only allowed together with 'stream': true."
  throw new InvalidError('stream_options', message)
}
