import { GgufFileType, GgufInsights, type Llama } from 'node-llama-cpp'
import type { HeadFacts } from '../../store/manifest.ts'
import type { CheckedFile, FileHead } from './gguf-check.ts'

/** Two lengths whose difference leaves out what a context needs once, however long it is. */
const SHORT_TOKENS = 1024
const LONG_TOKENS = 2048

/** What the head of a file tells of a model that nobody has loaded. */
export async function headFacts(
  { info }: FileHead,
  { kind, architecture }: CheckedFile,
  llama: Llama,
): Promise<HeadFacts> {
  const insights = await GgufInsights.from(info, llama)
  return {
    kind,
    architecture,
    parameters: insights.totalParameters,
    quant: quantOf(info.metadata.general.file_type),
    contextLength: insights.trainContextSize ?? 0,
    contextBytesPerToken: await contextBytesPerToken(insights),
  }
}

/** Of memory, for each token that is kept. */
export async function contextBytesPerToken(insights: GgufInsights): Promise<number> {
  const bytesFor = async (contextSize: number) => {
    const wish = { contextSize, sequences: 1, modelGpuLayers: 0, batchSize: SHORT_TOKENS }
    const { cpuRam, gpuVram } = await insights.estimateContextResourceRequirementsV2(wish)
    return cpuRam + gpuVram
  }
  const slope = (await bytesFor(LONG_TOKENS)) - (await bytesFor(SHORT_TOKENS))
  return Math.max(0, Math.round(slope / (LONG_TOKENS - SHORT_TOKENS)))
}

/** `Q4_K_M`, as files are named by it. */
export function quantOf(fileType: number | undefined): string {
  if (fileType === undefined) return 'unknown'
  return (GgufFileType[fileType] ?? 'unknown').replace(/^MOSTLY_|^ALL_/, '')
}
