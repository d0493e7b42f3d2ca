import { octets, optional, record, text, whole } from './cbor-shape.ts'
import { limits } from './job.ts'
import { country, jobId, modelId, modelName, token } from './rules.ts'

// What bodies of the log's entries have in common.

export const key = octets('key', 32)
export const hash = octets('hash', 32)
export const signature = octets('signature', 64)
export const size = whole('size')
/** Milliseconds since 1970, up to the last that a date can have. */
export const time = whole('time', { max: 8_640_000_000_000_000 })
export const word = text('word', token)
export const region = text('country', country)
export const job = text('job-id', jobId)

const micros = whole('price', { max: limits.priceMax })

/** RYV1 with its four fields. */
export const receiptShape = record('Receipt', {
  jobId: job,
  nodePk: key,
  resultHash: hash,
  meteringUnits: whole('positive', { min: 1 }),
  signature,
})

export const model = { model: text('model-id', modelId), modelName: text('model-name', modelName) }

/** Micro-credits per 1,000 tokens. */
export const price = record('Price', { input: micros, output: micros })

export const tokens = record('Tokens', { input: size, cached: size, output: size })

/** By the clock of whoever writes the entry. */
export const times = record('Times', {
  received: time,
  /** When the work began; for a coordinator, when it went out. */
  started: time,
  firstToken: optional(time),
  finished: time,
})
