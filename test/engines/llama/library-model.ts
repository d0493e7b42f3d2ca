import { getLlama, type Llama, LlamaLogLevel, type LlamaModel } from 'node-llama-cpp'
import { chatModel } from './core-harness.ts'

/** The demo model as the library itself opens it, for tests of what lies beneath the engine. */
export async function openLibraryModel(): Promise<{ llama: Llama; model: LlamaModel }> {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    logLevel: LlamaLogLevel.error,
  })
  return { llama, model: await llama.loadModel({ modelPath: chatModel }) }
}
