import { type Json, parseCanonicalJson } from './canonical-json.ts'
import { checkChatKeys, known, readChat } from './chat-json.ts'
import type { JobKind } from './generate.ts'
import { VECTOR_LENGTH_MAX } from './generate-shape.ts'
import { limits, type Sampling, type Work } from './job.ts'
import {
  checkKeys,
  isObject,
  readArray,
  readInteger,
  readNumber,
  readObject,
  readString,
} from './json-reader.ts'
import { malformed, unsupported } from './malformed.ts'

/** A conversation of 4,096 messages has 12,300 values, the largest bias 3,100. */
export const bodyBounds = { depthMax: 16, valuesMax: 32_768 }

const COUNT_MAX = 2 ** 32 - 1
/** As in a request to the HTTP endpoint. */
const TOKEN_ID_MAX = 9_999_999

/** The work that a body asks for, checked as strictly as the client's request was. */
export function decodeWork(kind: JobKind, body: Uint8Array): Work {
  // The body of the job that is drafted for: which kind that is, its first key says.
  if (kind === 'draft') return decodeWork(isCompletion(body) ? 'completion' : 'chat', body)
  const read = readers[kind]
  if (read === undefined) {
    throw unsupported('unsupported_kind', 'Job.kind', 'is a kind of work that is not done here')
  }
  const value = parseCanonicalJson(body, 'body', bodyBounds)
  checkAllKeys(value, bodyKeys[kind] ?? [])
  return read(value)
}

const COMPLETION = new TextEncoder().encode('{"prompts":')

const isCompletion = (body: Uint8Array): boolean =>
  COMPLETION.every((byte, at) => body[at] === byte)

const bodyKeys: Partial<Record<JobKind, readonly string[]>> = {
  chat: ['messages', 'functions', 'calling', 'one_call', 'format', 'sampling'],
  completion: ['prompts', 'sampling'],
  embedding: ['inputs', 'dimensions'],
}

/** Before anything else: a field of a newer version may lift what is asked of the others. */
function checkAllKeys(body: Json, known: readonly string[]): void {
  checkKeys(body, 'body', known)
  if (!isObject(body)) return
  checkKeys(body.sampling, 'sampling', samplingKeys)
  checkChatKeys(body)
}

const readers: Partial<Record<JobKind, (body: Json) => Work>> = {
  chat(body) {
    const fields = readObject(body, 'body')
    const asked = readChat(fields)
    const sampling = readSampling(fields.sampling)
    return { kind: 'chat', ...known(asked), sampling }
  },

  completion(body) {
    const fields = readObject(body, 'body')
    const range = { min: 1, max: limits.promptsMax }
    const prompts = readArray(fields.prompts, 'prompts', range, readString)
    const sampling = readSampling(fields.sampling)
    if (prompts.length * sampling.choices > limits.choicesMax) {
      throw malformed('sampling.choices', `times prompts is more than ${limits.choicesMax}`)
    }
    return { kind: 'completion', prompts, sampling }
  },

  embedding(body) {
    const fields = readObject(body, 'body')
    const range = { min: 1, max: limits.embeddingInputsMax }
    const inputs = readArray(fields.inputs, 'inputs', range, readInput)
    if (fields.dimensions === undefined) return { kind: 'embedding', inputs }
    const { dimensions } = fields
    return {
      kind: 'embedding',
      inputs,
      dimensions: readInteger(dimensions, 'dimensions', { min: 1, max: VECTOR_LENGTH_MAX }),
    }
  },
}

function readInput(value: Json, where: string): string {
  const text = readString(value, where)
  if (text === '') throw malformed(where, 'is empty')
  return text
}

const samplingKeys = [
  'temperature',
  'top_p',
  'seed',
  'choices',
  'max_tokens',
  'stop',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'logprobs',
]

const at = (key: string): string => `sampling.${key}`

function readSampling(value: Json | undefined): Sampling {
  const fields = readObject(value, 'sampling')
  const number = (key: string, min: number, max: number) =>
    readNumber(fields[key], at(key), { min, max })
  const integer = (key: string, min: number, max: number) =>
    readInteger(fields[key], at(key), { min, max })
  const has = (key: string) => fields[key] !== undefined
  return {
    temperature: number('temperature', 0, 2),
    topP: number('top_p', 0, 1),
    seed: integer('seed', 0, Number.MAX_SAFE_INTEGER),
    choices: integer('choices', 1, limits.choicesMax),
    ...(has('max_tokens') && { maxTokens: integer('max_tokens', 1, COUNT_MAX) }),
    stop: readArray(fields.stop, at('stop'), { min: 0, max: limits.stopsMax }, readStop),
    presencePenalty: number('presence_penalty', -2, 2),
    frequencyPenalty: number('frequency_penalty', -2, 2),
    logitBias: readArray(
      fields.logit_bias,
      at('logit_bias'),
      { min: 0, max: limits.logitBiasMax },
      readBias,
    ),
    ...(has('logprobs') && { logprobs: integer('logprobs', 0, limits.topLogprobsMax) }),
  }
}

const utf8 = new TextEncoder()

function readStop(value: Json, where: string): string {
  const text = readString(value, where)
  const { length } = utf8.encode(text)
  if (length === 0 || length > limits.stopBytesMax) {
    throw malformed(where, `has not between 1 and ${limits.stopBytesMax} bytes`)
  }
  return text
}

function readBias(value: Json, where: string): [number, number] {
  const [token, bias] = readArray(value, where, { min: 2, max: 2 }, (part) => part)
  return [
    readInteger(token, `${where}[0]`, { min: 0, max: TOKEN_ID_MAX }),
    readNumber(bias, `${where}[1]`, { min: -100, max: 100 }),
  ]
}
