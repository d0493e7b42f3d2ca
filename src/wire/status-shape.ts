import { bool, float, string, uint32, uint64 } from './fields.ts'
import { messages } from './list-fields.ts'
import { modelId } from './rules.ts'
import { message } from './shape.ts'

/** As many as an advert has. */
const MODELS_MAX = 64

const modelLoad = message('ModelLoad', {
  id: string(1, modelId),
  ready: bool(2),
  slots: uint32(3),
  running: uint32(4),
  queued: uint32(5),
  tokensPerSecond: float(6, 0),
})

export const statusShape = message('Status', {
  advertSequence: uint64(1, { min: 1 }),
  draining: bool(2),
  models: messages(3, modelLoad, MODELS_MAX),
})
