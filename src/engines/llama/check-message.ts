import type { Chunk, TokenLogprob } from '../../wire/chunk.ts'
import type { Hardware, ModelFacts } from '../engine.ts'
import type { Calibration, FromEngine } from './ipc.ts'

/** Characters of a name that a model file may bring: it is shown in lists and headers. */
const NAME_LENGTH_MAX = 200
const MESSAGE_LENGTH_MAX = 2000
/** Far above any real machine; keeps what is computed from it finite. */
const SLOTS_MAX = 1024
const THREADS_MAX = 4096

/**
 * The message, if it has the shape that was agreed on. The engine process reads files that anybody
 * may have made, so what it says is no safer than what a stranger says.
 */
export function checkMessage(value: unknown): FromEngine | undefined {
  return isMessage(value) ? value : undefined
}

type Fields = Record<string, unknown>

function isMessage(value: unknown): value is FromEngine {
  if (!isObject(value)) return false
  switch (value.type) {
    case 'load-progress':
      return isNumber(value.fraction) && value.fraction >= 0 && value.fraction <= 1
    case 'ready':
      return (
        isFacts(value.facts) &&
        isHardware(value.hardware) &&
        isBetween(value.slots, 1, SLOTS_MAX) &&
        isBetween(value.threads, 1, THREADS_MAX) &&
        [value.memoryBytes, value.trainedContext, value.gpuLayers].every(isCountOrNothing)
      )
    case 'load-failed':
      return isCode(value.code) && isMessageText(value.message)
    case 'chunks':
      return isListOf(value.chunks, isRunAndChunk)
    case 'run-failed':
      return (
        isCount(value.run) &&
        isCode(value.code) &&
        isMessageText(value.message) &&
        (value.param === undefined || isName(value.param))
      )
    case 'committed':
      return (
        isCount(value.run) &&
        isCount(value.choice) &&
        isCount(value.first) &&
        isListOf(value.ids, isCount)
      )
    case 'calibrated':
      return isCalibration(value.result)
    case 'calibration-stopped':
      return true
    default:
      return false
  }
}

const isCountOrNothing = (value: unknown): boolean => value === undefined || isCount(value)

function isRunAndChunk(value: unknown): value is [number, Chunk] {
  return Array.isArray(value) && value.length === 2 && isCount(value[0]) && isChunk(value[1])
}

function isChunk(value: unknown): value is Chunk {
  if (!isObject(value)) return false
  switch (value.type) {
    case 'tokens':
      return (
        isCount(value.choice) &&
        isCount(value.index) &&
        isListOf(value.ids, isCount) &&
        typeof value.text === 'string' &&
        (value.logprobs === undefined ||
          (isListOf(value.logprobs, isTokenLogprob) && value.logprobs.length === value.ids.length))
      )
    case 'provisional':
      return (
        isCount(value.choice) &&
        isCount(value.index) &&
        isListOf(value.ids, isCount) &&
        typeof value.text === 'string' &&
        isName(value.drafter)
      )
    case 'rollback':
      return isCount(value.choice) && isCount(value.from) && isRollbackReason(value.reason)
    case 'progress':
      return isCount(value.queued) && isCount(value.prefilled) && isCount(value.total)
    case 'accepted':
      return isCount(value.inputTokens)
    case 'vectors':
      return isCount(value.first) && isListOf(value.vectors, (it) => it instanceof Float32Array)
    case 'done':
      return (
        isListOf(value.finish, isFinish) &&
        isUsage(value.usage) &&
        (value.drafting === undefined || isListOf(value.drafting, isDrafted))
      )
    default:
      return false
  }
}

function isFinish(value: unknown): boolean {
  return value === 'stop' || value === 'length' || value === 'cancelled'
}

function isRollbackReason(value: unknown): boolean {
  return value === 'token_mismatch' || value === 'stop_sequence' || value === 'cancelled'
}

function isDrafted(value: unknown): boolean {
  return (
    isObject(value) &&
    isName(value.drafter) &&
    isCount(value.drafted) &&
    isCount(value.accepted) &&
    isCount(value.rolledBack) &&
    value.accepted + value.rolledBack === value.drafted
  )
}

function isUsage(value: unknown): boolean {
  return (
    isObject(value) &&
    isCount(value.inputTokens) &&
    isCount(value.cachedTokens) &&
    isCount(value.outputTokens)
  )
}

function isTokenLogprob(value: unknown): value is TokenLogprob {
  return isAlternative(value) && isListOf(value.top, isAlternative)
}

function isAlternative(value: unknown): value is Fields {
  return (
    isObject(value) &&
    typeof value.token === 'string' &&
    isListOf(value.bytes, isCount) &&
    isNumber(value.logprob)
  )
}

function isFacts(value: unknown): value is ModelFacts {
  return (
    isObject(value) &&
    (value.kind === 'chat' || value.kind === 'embedding') &&
    isName(value.architecture) &&
    isName(value.quant) &&
    isCount(value.parameters) &&
    isCount(value.sizeBytes) &&
    isCount(value.contextLength) &&
    isCount(value.vocabularySize) &&
    isCount(value.embeddingLength)
  )
}

function isHardware(value: unknown): value is Hardware {
  return (
    isObject(value) &&
    isListOf(value.gpu, isName) &&
    ['cpu', 'cuda', 'vulkan', 'metal'].includes(String(value.backend)) &&
    isCount(value.vramTotalBytes) &&
    isCount(value.vramFreeBytes) &&
    isCount(value.cpuThreads)
  )
}

function isCalibration(value: unknown): value is Calibration {
  return (
    isObject(value) &&
    isBetween(value.slots, 1, SLOTS_MAX) &&
    isBetween(value.threads, 1, THREADS_MAX) &&
    isListOf(
      value.measured,
      (it) =>
        isObject(it) && isCount(it.threads) && isCount(it.parallel) && isNumber(it.tokensPerSecond),
    ) &&
    (value.batchTimes === undefined ||
      isListOf(
        value.batchTimes,
        (it) => isObject(it) && isCount(it.tokens) && isNumber(it.ms) && it.ms > 0,
      ))
  )
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function isListOf<T>(value: unknown, isItem: (item: unknown) => item is T): value is T[]
function isListOf(value: unknown, isItem: (item: unknown) => boolean): value is unknown[]
function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem)
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && !Number.isNaN(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isBetween(value: unknown, least: number, most: number): boolean {
  return isCount(value) && value >= least && value <= most
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_LENGTH_MAX
}

function isMessageText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MESSAGE_LENGTH_MAX
}

function isCode(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(value)
}
