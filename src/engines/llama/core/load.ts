import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import {
  getLlama,
  InsufficientMemoryError,
  type Llama,
  LlamaLogLevel,
  type LlamaModel,
} from 'node-llama-cpp'
import { messageOf, PeerError } from '../../../base/errors.ts'
import type { Hardware, ModelFacts } from '../../engine.ts'
import type { LoadOptions } from '../ipc.ts'
import { type NativeLibrary, nativeLibrary, nativeModel } from './binding.ts'
import { assertFits } from './fits.ts'
import { type CheckedFile, checkHead, readHead } from './gguf-check.ts'
import { quantOf } from './head-facts.ts'
import { TokenTable } from './token-table.ts'

/** A model in memory, before anything is decided about how it is run. */
export interface OpenModel {
  llama: Llama
  library: NativeLibrary
  model: LlamaModel
  file: CheckedFile
  tokens: TokenTable
  vocabularySize: number
  threads: number
}

/** How finely loading is reported: a bar needs no more, and small models load in milliseconds. */
const PROGRESS_STEP = 0.05

export async function openModel(
  options: LoadOptions,
  onProgress: (fraction: number) => void,
): Promise<OpenModel> {
  const name = basename(options.modelPath)
  const [llama, head] = await Promise.all([startLlama(options.gpu), readHead(options.modelPath)])
  const library = nativeLibrary(llama)
  const file = checkHead(head, library)
  await assertFits(llama, head, options)
  let reported = 0
  const model = await llama
    .loadModel({
      modelPath: options.modelPath,
      onLoadProgress(fraction) {
        if (fraction - reported < PROGRESS_STEP) return
        reported = fraction
        onProgress(Math.min(fraction, 1))
      },
    })
    .catch((error): never => {
      throw loadFailure(name, error)
    })
  return {
    llama,
    library,
    model,
    file,
    tokens: new TokenTable(nativeModel(model), model.vocabularyType),
    vocabularySize: model.fileInfo.metadata.tokenizer.ggml.tokens.length,
    threads: options.threads ?? defaultThreads(),
  }
}

export async function startLlama(gpu: LoadOptions['gpu']): Promise<Llama> {
  try {
    return await getLlama({
      build: 'never',
      skipDownload: true,
      gpu,
      maxThreads: 0,
      logLevel: LlamaLogLevel.error,
      progressLogs: false,
    })
  } catch (error) {
    throw new PeerError(
      'engine_unavailable',
      `llama.cpp does not start on this machine: ${messageOf(error).slice(0, 300)} ` +
        'Install the package @node-llama-cpp has for this system.',
      { cause: error },
    )
  }
}

/** With a thread on every core, whatever else runs makes all the others wait at each barrier. */
export function defaultThreads(): number {
  return Math.max(1, availableParallelism() - 1)
}

export function factsOf(open: OpenModel, contextLength: number): ModelFacts {
  const { model, file } = open
  return {
    kind: file.kind,
    architecture: file.architecture,
    parameters: model.fileInsights.totalParameters,
    quant: quantOf(model.fileInfo.metadata.general.file_type),
    sizeBytes: file.sizeBytes,
    contextLength,
    vocabularySize: open.vocabularySize,
    embeddingLength: model.embeddingVectorSize,
  }
}

export async function hardwareOf(llama: Llama): Promise<Hardware> {
  const cpuThreads = availableParallelism()
  if (llama.gpu === false) {
    return { gpu: [], backend: 'cpu', vramTotalBytes: 0, vramFreeBytes: 0, cpuThreads }
  }
  const vram = await llama.getVramState()
  return {
    gpu: await llama.getGpuDeviceNames(),
    backend: llama.gpu,
    vramTotalBytes: vram.total,
    vramFreeBytes: vram.free,
    cpuThreads,
  }
}

/** Turns what the library throws into an answer that says what to do. */
export function loadFailure(name: string, error: unknown): PeerError {
  if (error instanceof PeerError) return error
  const why = messageOf(error)
  if (error instanceof InsufficientMemoryError || /memory|alloc/i.test(why)) {
    return new PeerError(
      'model_too_large',
      `${name} does not fit into this machine's memory. Serve a smaller model or a smaller quant, ` +
        'or set a shorter context.',
      { cause: error },
    )
  }
  return new PeerError(
    'model_file_invalid',
    `${name} is not a usable model file. llama.cpp cannot load it. Fetch it again.`,
    { cause: error },
  )
}
