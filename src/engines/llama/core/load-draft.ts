import { basename } from 'node:path'
import type { LlamaContext } from 'node-llama-cpp'
import type { Clock } from '../../../base/clock.ts'
import { PeerError } from '../../../base/errors.ts'
import { nativeContext, nativeModel, newSampler, recycling } from './binding.ts'
import { checkHead, readHead } from './gguf-check.ts'
import { loadFailure, type OpenModel } from './load.ts'
import { BATCH_SIZE, type ContextPlan } from './memory.ts'
import { DraftModel } from './speculation/draft-model.ts'

/** A small model that drafts for `open`, with as many sequences. */
export async function loadDraft(
  open: OpenModel,
  path: string,
  { sequences, contextLength }: ContextPlan,
  clock: Clock,
): Promise<{ drafter: DraftModel; owner: LlamaContext }> {
  const name = basename(path)
  const { llama, library, threads, tokens } = open
  const { kind } = checkHead(await readHead(path), library)
  const fail = (error: unknown): never => {
    throw loadFailure(name, error)
  }
  const model = await llama.loadModel({ modelPath: path }).catch(fail)
  const { isRecurrent, isHybrid, swaSize } = model.fileInsights
  const isCut = !isRecurrent && !isHybrid && !swaSize
  if (kind !== 'chat' || !isCut || !sameVocabulary(model.fileInfo, open.model.fileInfo)) {
    await model.dispose()
    throw new PeerError(
      'model_unsupported',
      `${name} can't draft for this model: it writes no text, has other tokens, or a memory that ` +
        "can't be cut. " +
        'Take a small model of the same family.',
    )
  }
  const size = Math.min(contextLength, model.trainContextSize)
  const owner = await model
    .createContext({ sequences, contextSize: size, batchSize: BATCH_SIZE, threads })
    .catch(fail)
  const native = nativeModel(model)
  const drafter = new DraftModel(
    {
      context: nativeContext(owner),
      newSampler: recycling(() => newSampler(llama, native)),
      tokens,
      clock,
    },
    { sequences, contextLength: size },
  )
  return { drafter, owner }
}

type FileInfo = OpenModel['model']['fileInfo']

function sameVocabulary(one: FileInfo, other: FileInfo): boolean {
  const { tokens } = one.metadata.tokenizer.ggml
  const others = other.metadata.tokenizer.ggml.tokens
  return tokens.length === others.length && tokens.every((token, at) => token === others[at])
}
