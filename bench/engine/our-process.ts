import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { endTokens } from '../../test/gguf/vocabulary.ts'
import type { Contestant, ContestantOptions, Request } from './contestant.ts'

const entry = fileURLToPath(new URL('../../src/engines/llama/child.ts', import.meta.url))

/** The part of what an engine process says that a bench needs. */
type Message =
  | { type: 'load-progress' | 'calibrated' | 'calibration-stopped' }
  | { type: 'ready'; slots: number; threads: number }
  | { type: 'load-failed'; message: string }
  | { type: 'run-failed'; run: number; message: string }
  | { type: 'chunks'; chunks: [run: number, chunk: Chunk][] }

type Chunk =
  | { type: 'accepted'; inputTokens: number }
  | { type: 'progress' }
  | { type: 'tokens'; ids: number[] }
  | { type: 'done' }

interface Run {
  push(chunk: Chunk): void
  fail(error: Error): void
}

/** Our engine process alone, spoken to as the peer does: neither HTTP nor supervision around it. */
export async function engineProcess(
  options: ContestantOptions,
  /** A folder for a CPU profile of it. */
  profile: string | undefined,
): Promise<Contestant> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const child = fork(entry, { serialization: 'advanced', execArgv })
  const runs = new Map<number, Run>()
  const ready = Promise.withResolvers<void>()
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let promptTokens = 0
  let lastRun = 0
  child.once('exit', () => {
    const error = new Error('the engine process ended')
    ready.reject(error)
    for (const run of runs.values()) run.fail(error)
  })
  child.on('message', (message: Message) => {
    if (message.type === 'ready') ready.resolve()
    if (message.type === 'load-failed') ready.reject(new Error(message.message))
    if (message.type === 'run-failed') runs.get(message.run)?.fail(new Error(message.message))
    if (message.type === 'chunks') {
      for (const [run, chunk] of message.chunks) runs.get(run)?.push(chunk)
    }
  })
  const { model, threads, slots, context } = options
  child.send({
    type: 'load',
    options: {
      modelPath: model,
      slots,
      contextLength: context,
      gpu: false,
      ...(threads === undefined ? {} : { threads }),
    },
  })
  await ready.promise
  return {
    name: 'our engine process',
    promptTokens: () => promptTokens,
    async stop() {
      child.disconnect()
      await gone
    },
    async *answer(request) {
      const run = ++lastRun
      const chunks = arrivals<Chunk>()
      runs.set(run, chunks)
      child.send({ type: 'run', run, job: job(run, request, options.vocabulary) })
      for await (const chunk of chunks) {
        if (chunk.type === 'accepted') promptTokens = chunk.inputTokens
        if (chunk.type === 'tokens') yield chunk.ids.length
        if (chunk.type === 'done') break
      }
      runs.delete(run)
    },
  }
}

function job(run: number, { prompt, tokens }: Request, vocabulary: number): object {
  return {
    id: `job_${run}`,
    model: 'half',
    cacheScope: `run ${run}`,
    work: {
      kind: 'completion',
      prompts: [prompt],
      sampling: {
        temperature: 0,
        topP: 1,
        seed: run,
        choices: 1,
        maxTokens: tokens,
        stop: [],
        presencePenalty: 0,
        frequencyPenalty: 0,
        logitBias: endTokens(vocabulary).map((token) => [token, -100]),
      },
    },
  }
}

/** What is pushed before and while it is read, in order. */
function arrivals<T>(): AsyncIterable<T> & { push(item: T): void; fail(error: Error): void } {
  const items: T[] = []
  let failure: Error | undefined
  let wake = () => {}
  return {
    push(item) {
      items.push(item)
      wake()
    },
    fail(error) {
      failure = error
      wake()
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (items.length > 0) yield items.shift() as T
        if (failure !== undefined) throw failure
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}
