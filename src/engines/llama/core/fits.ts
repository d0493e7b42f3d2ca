import { GgufInsights, type Llama } from 'node-llama-cpp'
import { bytesText } from '../../../base/bytes-text.ts'
import { PeerError } from '../../../base/errors.ts'
import { fitOf } from '../../fit.ts'
import { freeRam } from '../../free-ram.ts'
import type { LoadOptions } from '../ipc.ts'
import type { FileHead } from './gguf-check.ts'
import { contextBytesPerToken } from './head-facts.ts'
import { slotsFor } from './memory.ts'

/**
 * Refuses a model before it is loaded: of one that does not fit the system would read the weights from the
 * disk again and again, or end the process.
 */
export async function assertFits(
  llama: Llama,
  { name, info }: FileHead,
  options: LoadOptions,
): Promise<void> {
  const insights = await GgufInsights.from(info, llama)
  const slots = options.slots ?? slotsFor(options, llama.gpu)
  const perToken = await contextBytesPerToken(insights)
  const contextLength = options.contextLength ?? insights.trainContextSize ?? 0
  const vramBytes = llama.gpu === false ? 0 : (await llama.getVramState()).free
  const ramBytes = freeRam()
  const weightsBytes = insights.modelSize
  const needs = { weightsBytes, contextBytesPerToken: perToken, contextLength, slots }
  const { fits, needsBytes, freeBytes } = fitOf(needs, { ramBytes, vramBytes })
  const { memoryMax = Number.POSITIVE_INFINITY } = options
  if (fits && needsBytes <= memoryMax) return
  const what =
    `${name} needs ${bytesText(needsBytes)} at the least: ${bytesText(weightsBytes)} for its weights, and ` +
    `${bytesText(needsBytes - weightsBytes)} for ${slots} short answers at once.`
  if (fits) {
    throw new PeerError(
      'model_too_large',
      `${what} All models together may take ${bytesText(memoryMax)} (--model-memory): raise that, or ` +
        'serve a smaller model or a smaller quant.',
    )
  }
  const graphics = vramBytes > 0 ? ` and ${bytesText(vramBytes)} of the graphics card` : ''
  throw new PeerError(
    'model_too_large',
    `${what} ${bytesText(freeBytes)} may be taken (free are ${bytesText(ramBytes)} of memory${graphics}). ` +
      'Serve a smaller model or a smaller quant, or end what else needs memory here.',
  )
}
