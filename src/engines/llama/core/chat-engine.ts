import { basename } from 'node:path'
import type { LlamaContext } from 'node-llama-cpp'
import type { Clock } from '../../../base/clock.ts'
import type { ChatWork, CompletionWork, Job } from '../../../wire/job.ts'
import type { Calibration, LoadOptions } from '../ipc.ts'
import { type Begun, begunOf } from './begun.ts'
import {
  type NativeContext,
  type NativeSampler,
  nativeContext,
  nativeModel,
  newSampler,
  recycling,
} from './binding.ts'
import { calibrate } from './calibrate.ts'
import { CHATML, ChatPrompt } from './chat-prompt.ts'
import { Run } from './generation.ts'
import { type JobInputComponents, promptsOf } from './job-input.ts'
import { defaultThreads, loadFailure, type OpenModel } from './load.ts'
import { openDraft, startDraft } from './load-draft.ts'
import { BATCH_SIZE, type ContextPlan, planContext } from './memory.ts'
import type { Outbox } from './outbox.ts'
import type { Drafter } from './speculation/drafter.ts'
import { Posted } from './speculation/posted.ts'
import { promptLookup } from './speculation/prompt-lookup.ts'
import { Speculation } from './speculation/speculation.ts'
import { TickLoop } from './tick-loop.ts'

type TextWork = ChatWork | CompletionWork
/** What the user decided. */
type Fixed = Pick<LoadOptions, 'slots' | 'threads' | 'reproducible' | 'batchTimes' | 'window'>
type ChatJob = Pick<Job, 'cacheScope' | 'queueShare' | 'resume' | 'watched' | 'guesses'>

interface ChatEngineParts {
  context: NativeContext
  /** Kept only: the library waits for ever to dispose of those that were collected. */
  owners: LlamaContext[]
  newSampler: () => NativeSampler
  outbox: Outbox
  clock: Clock
}

/** A model that writes: its context, its template and the loop that runs its jobs. */
export class ChatEngine {
  readonly plan: ContextPlan
  readonly loop: TickLoop
  readonly #speculation: Speculation | undefined
  readonly #parts: ChatEngineParts
  readonly #input: JobInputComponents
  readonly #vocabularySize: number
  readonly #fixed: Fixed
  readonly #trims: boolean
  #threads: number

  constructor(
    open: OpenModel,
    plan: ContextPlan,
    fixed: Fixed,
    { drafters, ...parts }: ChatEngineParts & { drafters: readonly Drafter[] },
  ) {
    const { isRecurrent, isHybrid, swaSize } = open.model.fileInsights
    this.plan = plan
    this.#parts = parts
    this.#fixed = fixed
    this.#input = { model: open.model, tokens: open.tokens, chatPrompt: chatPromptOf(open) }
    this.#vocabularySize = open.vocabularySize
    this.#threads = open.threads
    this.#trims = !isRecurrent && !isHybrid && !swaSize
    this.#speculation = this.#trims ? this.#speculate(open, drafters) : undefined
    this.loop = new TickLoop(
      { ...parts, tokens: open.tokens, speculation: this.#speculation },
      { ...plan, batchSize: BATCH_SIZE, trims: this.#trims, reproducible: fixed.reproducible },
    )
  }

  static async create(
    open: OpenModel,
    options: LoadOptions,
    {
      outbox,
      clock,
      drafters = [promptLookup],
    }: { outbox: Outbox; clock: Clock; drafters?: readonly Drafter[] | undefined },
  ): Promise<ChatEngine> {
    const small = options.draftPath ? await openDraft(open, options.draftPath) : undefined
    const plan = await planContext(open, options, small)
    const draft = small && (await startDraft(open, small, plan, clock))
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
    const model = nativeModel(open.model)
    return new ChatEngine(open, plan, options, {
      context: nativeContext(context),
      owners: draft ? [context, draft.owner] : [context],
      newSampler: recycling(() => newSampler(open.llama, model)),
      outbox,
      clock,
      drafters: draft ? [...drafters, draft.drafter] : drafters,
    })
  }

  /** `drafter`: the name of who guesses for this job elsewhere. */
  add(id: number, job: ChatJob, work: TextWork, drafter?: string): void {
    const { cacheScope: scope, queueShare: share, resume = [], watched, guesses: textless } = job
    const { contextLength } = this.plan
    const limits = { contextLength, vocabularySize: this.#vocabularySize, textless }
    const prompts = promptsOf(this.#input, limits, work)
    const begun = new Map<number, Begun>()
    for (const each of resume) begun.set(each.choice, begunOf(each, this.#input.tokens, limits))
    const { sampling } = work
    const drafters = drafter === undefined ? [] : [this.#elsewhere(id, drafter)]
    const input = { id, scope, share, watched, drafters, sampling, prompts, contextLength, begun }
    const run = new Run(input)
    this.#parts.outbox.add(id, { type: 'accepted', inputTokens: run.inputTokens })
    this.loop.add(run)
  }

  guessed(id: number, choice: number, first: number, ids: readonly number[]): void {
    for (const drafter of this.loop.run(id)?.drafters ?? []) {
      if (drafter instanceof Posted) drafter.post(choice, first, ids)
    }
  }

  /** Measures, and goes on with what was found best. Undefined when there is work to do instead. */
  async calibrate(): Promise<Calibration | undefined> {
    const { slots, threads } = this.#fixed
    const options = {
      threads: threads === undefined ? threadCandidates(defaultThreads()) : [threads],
      fixed: slots === undefined || threads === undefined ? undefined : { slots, threads },
      contextLength: this.plan.contextLength,
      trims: this.#trims,
    }
    const found = await this.loop.lend(async (sequences, signal) => {
      const result = await calibrate({ ...this.#parts, sequences }, options, signal)
      this.#threads = result?.threads ?? this.#threads
      this.#parts.context.setThreads(this.#threads)
      return result
    })
    if (found === undefined) return undefined
    this.#speculation?.cost.learn(found.batchTimes ?? [])
    const best = { ...found, slots: slots ?? found.slots }
    this.loop.slots = best.slots
    return best
  }

  #elsewhere(run: number, name: string): Posted {
    const { outbox } = this.#parts
    return new Posted(name, (choice, first, ids) =>
      outbox.send({ type: 'committed', run, choice, first, ids }),
    )
  }

  #speculate({ tokens, vocabularySize }: OpenModel, drafters: readonly Drafter[]): Speculation {
    const { reproducible: stepwise, batchTimes = [], window } = this.#fixed
    const speculation = new Speculation({ drafters, tokens }, { vocabularySize, stepwise, window })
    speculation.cost.learn(batchTimes)
    return speculation
  }
}

/** One, half and all that may be used: hyper-threads of one core help little or not at all. */
function threadCandidates(most: number): number[] {
  return [...new Set([1, Math.ceil(most / 2), most])]
}

function chatPromptOf({ model, library }: OpenModel): ChatPrompt {
  const templateText = model.fileInfo.metadata.tokenizer.chat_template ?? CHATML
  return new ChatPrompt(
    {
      template: library.compileTemplate(templateText),
      templateText,
    },
    { bos: model.tokens.bosString ?? '', eos: model.tokens.eosString ?? '' },
  )
}
