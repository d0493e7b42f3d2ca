import type { Llama, LlamaModel } from 'node-llama-cpp'
import { PeerError } from '../../../base/errors.ts'
import { CONTEXT_LENGTH_MIN, VRAM_SHARE } from '../../fit.ts'
import { freeRam } from '../../free-ram.ts'
import type { LoadOptions } from '../ipc.ts'
import type { OpenModel } from './load.ts'

/** Tokens in one decode. llama.cpp gains nothing from more on a CPU, and reserves memory for all. */
export const BATCH_SIZE = 512
/** What a run can be given at once, and what calibration may find to be best. */
export const SEQUENCES_MAX = 8
const CPU_SLOTS = 4
/** Sequences beyond the slots are more prefix caches; worth this much and no more. */
const SPARE_BYTES = 512 * 1024 * 1024
/** llama.cpp counts a context's tokens in 32 bits; more than these it would silently wrap around. */
const CELLS_MAX = 2 ** 31 - 1
/** Of the memory that is free now: the rest is for the machine's other work. */
const MEMORY_SHARE = 0.5

export interface ContextPlan {
  slots: number
  sequences: number
  contextLength: number
  /** That it takes beside the weights, a drafter with its weights among it. */
  bytes: number
}

/**
 * How many sequences of which length fit, asked of the library's own estimate. `draft`: a small model
 * that has as many of its own.
 */
export async function planContext(
  open: OpenModel,
  options: LoadOptions,
  draft?: LlamaModel,
): Promise<ContextPlan> {
  const { llama, model } = open
  const slots = options.slots ?? slotsFor(options, llama.gpu)
  const wanted = options.contextLength ?? model.trainContextSize
  const many = options.reproducible ? slots : Math.max(slots, SEQUENCES_MAX)
  const others = model.size + (draft?.size ?? 0)
  const most = Math.max(0, (options.memoryMax ?? Number.POSITIVE_INFINITY) - others)
  const ram = Math.min(freeRam() * MEMORY_SHARE, most)
  const vram = llama.gpu === false ? 0 : (await llama.getVramState()).free * VRAM_SHARE
  const needs = async (contextLength: number, sequences: number) => {
    const own = await contextNeeds(model, contextLength, sequences)
    if (draft === undefined) return own
    const its = await contextNeeds(draft, draftLength(draft, contextLength), sequences)
    return { cpuRam: own.cpuRam + its.cpuRam, gpuVram: own.gpuVram + its.gpuVram }
  }
  const fits = async (contextLength: number, sequences: number) => {
    if (contextLength * sequences > CELLS_MAX) return false
    const { cpuRam, gpuVram } = await needs(contextLength, sequences)
    return cpuRam <= ram && gpuVram <= vram && cpuRam + gpuVram <= most
  }

  if (await fits(wanted, many)) {
    const { cpuRam, gpuVram } = await needs(wanted, many)
    const bytes = cpuRam + gpuVram + (draft?.size ?? 0)
    if (cpuRam + gpuVram <= SPARE_BYTES) {
      return { slots, sequences: many, contextLength: wanted, bytes }
    }
  }
  let contextLength = wanted
  while (!(await fits(contextLength, slots))) {
    if (options.contextLength !== undefined || contextLength <= CONTEXT_LENGTH_MIN) {
      throw new PeerError(
        'model_too_large',
        `There is not enough free memory for ${slots} answers of ${contextLength} tokens at once. ` +
          'Set fewer slots or a shorter context, or serve a smaller model.',
      )
    }
    contextLength = Math.max(CONTEXT_LENGTH_MIN, Math.floor(contextLength / 2))
  }
  const { cpuRam, gpuVram } = await needs(contextLength, slots)
  const bytes = cpuRam + gpuVram + (draft?.size ?? 0)
  return { slots, sequences: slots, contextLength, bytes }
}

/** Beyond it a small model drafts nothing. */
export function draftLength(draft: LlamaModel, contextLength: number): number {
  return Math.min(contextLength, draft.trainContextSize)
}

async function contextNeeds(model: LlamaModel, contextSize: number, sequences: number) {
  const { gpuLayers: modelGpuLayers } = model
  const context = { contextSize, sequences, modelGpuLayers, batchSize: BATCH_SIZE }
  return await model.fileInsights.estimateContextResourceRequirementsV2(context)
}

export function slotsFor({ reproducible }: LoadOptions, gpu: Llama['gpu']): number {
  if (reproducible) return 1
  return gpu === false ? CPU_SLOTS : SEQUENCES_MAX
}
