import { needed, nested, sealed, string, uint32, uint64 } from './fields.ts'
import { limits } from './job.ts'
import { messages, strings } from './list-fields.ts'
import { address, country, modelId, modelName, peerId, shown, token } from './rules.ts'
import { message, oneof } from './shape.ts'
import { signedShape } from './signed.ts'

/** The whole signed advert: asked for by everybody, and kept in the DHT. */
export const ADVERT_BYTES_MAX = 8 * 1024

/** A peer that is silent for longer is gone for everybody. */
const TTL_S_MAX = 3600
const ADDRESSES_MAX = 16
const WORDS_MAX = 16
const GPUS_MAX = 16
const MODELS_MAX = 64

const gpu = message('Gpu', {
  name: string(1, shown),
  vramTotalBytes: uint64(2),
  vramFreeBytes: uint64(3),
})

const hardware = message('Hardware', {
  gpus: messages(1, gpu, GPUS_MAX),
  cpu: string(2, shown),
  cpuThreads: uint32(3),
  ramBytes: uint64(4),
  backend: string(5, token),
})

const model = message('Model', {
  name: string(1, modelName),
  id: string(2, modelId),
  kind: string(3, token),
  family: string(4, shown),
  parameters: uint64(5),
  quant: string(6, shown),
  contextLength: uint32(7),
  embeddingLength: uint32(8),
  capabilities: strings(9, token, WORDS_MAX),
  slots: uint32(10),
  priceInput: uint64(11, { max: limits.priceMax }),
  priceOutput: uint64(12, { max: limits.priceMax }),
  draftsFor: string(13, modelId, 'optional'),
})

export const advertShape = message('Advert', {
  peerId: string(1, peerId),
  sequence: uint64(2, { min: 1 }),
  ttlS: uint32(3, { min: 1, max: TTL_S_MAX }),
  addresses: strings(4, address, ADDRESSES_MAX),
  roles: strings(5, token, WORDS_MAX),
  region: string(6, country, 'optional'),
  hardware: needed(7, hardware),
  models: messages(8, model, MODELS_MAX),
  version: string(9, shown),
})

export const departureShape = message('Departure', {
  peerId: string(1, peerId),
  sequence: uint64(2, { min: 1 }),
})

const ask = message('Ask', {})

export const advertRequestShape = oneof('Request', {
  ask: nested(1, ask),
  departure: sealed(2, signedShape, ADVERT_BYTES_MAX),
})
