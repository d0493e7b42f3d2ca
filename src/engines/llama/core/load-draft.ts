import { basename } from 'node:path'
import type { LlamaContext, LlamaModel } from 'node-llama-cpp'
import type { Clock } from '../../../base/clock.ts'
import { PeerError } from '../../../base/errors.ts'
import { nativeContext, nativeModel, newSampler, recycling } from './binding.ts'
import { checkHead, readHead } from './gguf-check.ts'
import { loadFailure, type OpenModel } from './load.ts'
import { BATCH_SIZE, type ContextPlan, draftLength } from './memory.ts'
import { DraftModel } from './speculation/draft-model.ts'

/** A small model that can draft for `open`. */
export async function openDraft(open: OpenModel, path: string): Promise<LlamaModel> {
  const name = basename(path)
  const { llama, library } = open
  const { kind } = checkHead(await readHead(path), library)
  const model = await llama.loadModel({ modelPath: path }).catch((error): never => {
    throw loadFailure(name, error)
  })
  const { isRecurrent, isHybrid, swaSize } = model.fileInsights
  const isCut = !isRecurrent && !isHybrid && !swaSize
  if (kind === 'chat' && isCut && sameVocabulary(model.fileInfo, open.model.fileInfo)) return model
  await model.dispose()
  throw new PeerError(
    'model_unsupported',
    `${name} can't draft for this model: it writes no text, has other tokens, or a memory that ` +
      "can't be cut. " +
      'Take a small model of the same family.',
  )
}

/** As a drafter for `open`, with as many sequences. */
export async function startDraft(
  { llama, threads, tokens }: OpenModel,
  model: LlamaModel,
  { sequences, contextLength: most }: ContextPlan,
  clock: Clock,
): Promise<{ drafter: DraftModel; owner: LlamaContext }> {
  const contextLength = draftLength(model, most)
  const owner = await model
    .createContext({ sequences, contextSize: contextLength, batchSize: BATCH_SIZE, threads })
    .catch((error): never => {
      throw loadFailure(model.filename ?? 'the drafter', error)
    })
  const native = nativeModel(model)
  const context = nativeContext(owner)
  const sampler = recycling(() => newSampler(llama, native))
  const drafter = new DraftModel(
    { context, newSampler: sampler, tokens, clock },
    { sequences, contextLength },
  )
  await drafter.measure()
  return { drafter, owner }
}

type FileInfo = OpenModel['model']['fileInfo']

function sameVocabulary(one: FileInfo, other: FileInfo): boolean {
  const { tokens } = one.metadata.tokenizer.ggml
  const others = other.metadata.tokenizer.ggml.tokens
  return tokens.length === others.length && tokens.every((token, at) => token === others[at])
}
