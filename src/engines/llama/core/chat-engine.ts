import { basename } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import type { ChatWork, CompletionWork } from '../../../wire/job.ts'
import type { LoadOptions } from '../ipc.ts'
import { nativeContext, nativeModel, newSampler } from './binding.ts'
import { CHATML, ChatPrompt } from './chat-prompt.ts'
import { Run } from './generation.ts'
import { type JobInputComponents, promptsOf } from './job-input.ts'
import { loadFailure, type OpenModel } from './load.ts'
import { BATCH_SIZE, type ContextPlan, planContext } from './memory.ts'
import type { Outbox } from './outbox.ts'
import { TickLoop } from './tick-loop.ts'

/** A model that writes: its context, its template and the loop that runs its jobs. */
export class ChatEngine {
  readonly plan: ContextPlan
  readonly loop: TickLoop
  readonly #input: JobInputComponents
  readonly #vocabularySize: number
  readonly #outbox: Outbox

  constructor(open: OpenModel, plan: ContextPlan, loop: TickLoop, outbox: Outbox) {
    this.plan = plan
    this.loop = loop
    this.#input = { model: open.model, chatPrompt: chatPromptOf(open) }
    this.#vocabularySize = open.vocabularySize
    this.#outbox = outbox
  }

  static async create(
    open: OpenModel,
    options: LoadOptions,
    { outbox, clock }: { outbox: Outbox; clock: Clock },
  ): Promise<ChatEngine> {
    const plan = await planContext(open, options)
    const context = await open.model
      .createContext({
        sequences: plan.sequences,
        contextSize: plan.contextLength,
        batchSize: BATCH_SIZE,
        threads: open.threads,
      })
      .catch((error): never => {
        throw loadFailure(basename(options.modelPath), error)
      })
    const native = nativeContext(context)
    const nativeModelOf = nativeModel(open.model)
    const { isRecurrent, isHybrid, swaSize } = open.model.fileInsights
    const loop = new TickLoop(
      {
        context: native,
        newSampler: () => newSampler(open.llama, nativeModelOf),
        tokens: open.tokens,
        outbox,
        clock,
      },
      { ...plan, batchSize: context.batchSize, trims: !isRecurrent && !isHybrid && !swaSize },
    )
    return new ChatEngine(open, plan, loop, outbox)
  }

  add(id: number, scope: string, work: ChatWork | CompletionWork): void {
    const { contextLength } = this.plan
    const limits = { contextLength, vocabularySize: this.#vocabularySize }
    const prompts = promptsOf(this.#input, limits, work)
    const run = new Run({ id, scope, sampling: work.sampling, prompts, contextLength })
    this.#outbox.add(id, { type: 'accepted', inputTokens: run.inputTokens })
    this.loop.add(run)
  }
}

function chatPromptOf({ model, library }: OpenModel): ChatPrompt {
  const templateText = model.fileInfo.metadata.tokenizer.chat_template ?? CHATML
  return new ChatPrompt(
    {
      template: library.compileTemplate(templateText),
      templateText,
      tokenizer: model.tokenizer,
    },
    { bos: model.tokens.bosString ?? '', eos: model.tokens.eosString ?? '' },
  )
}
