/**
 * An engine process that does what the job's text says, and nothing else: the supervisor's test
 * double. It is a real process that speaks the real messages.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { FromEngine, LoadOptions, ToEngine } from '../../../src/engines/llama/ipc.ts'
import type { Chunk } from '../../../src/wire/chunk.ts'
import type { Job } from '../../../src/wire/job.ts'

const say = (message: FromEngine) => process.send?.(message)
const chunks = (run: number, ...list: Chunk[]) =>
  say({ type: 'chunks', chunks: list.map((chunk) => [run, chunk]) })
const usage = (outputTokens: number) => ({ inputTokens: 3, cachedTokens: 0, outputTokens })
const accepted: Chunk = { type: 'accepted', inputTokens: 3 }
const token = (index: number, text: string): Chunk => ({
  type: 'tokens',
  choice: 0,
  index,
  ids: [index],
  text,
})

const ready: Extract<FromEngine, { type: 'ready' }> = {
  type: 'ready',
  facts: {
    kind: 'chat',
    architecture: 'scripted',
    parameters: 1,
    quant: 'Q8_0',
    sizeBytes: 1,
    contextLength: 100,
    vocabularySize: 10,
    embeddingLength: 1,
  },
  hardware: { gpu: [], backend: 'cpu', vramTotalBytes: 0, vramFreeBytes: 0, cpuThreads: 2 },
  slots: 4,
  threads: 1,
}

/** How often this was reached in all processes that were given the same file. */
function countIn(file: string): number {
  appendFileSync(file, 'x')
  return readFileSync(file).length
}

/** The model's file name is the script of loading: what to do, then the file to count in. */
function load({ modelPath, slots }: LoadOptions): void {
  const [script = '', file = ''] = modelPath.split('|')
  const what = basename(script)
  if (what === 'crash') process.abort()
  if (what === 'crash-after-first' && countIn(file) > 1) process.abort()
  if (what === 'crash-first' && countIn(file) === 1) process.abort()
  if (what === 'hang') return
  const refuses = what === 'refuse' || (what === 'refuse-second' && countIn(file) === 2)
  if (what === 'nonsense') process.send?.({ type: 'ready', slots: 'many' })
  else if (refuses)
    say({ type: 'load-failed', code: 'model_unreadable', message: `${modelPath} is too old.` })
  else {
    say({ type: 'load-progress', fraction: 0.5 })
    say({ ...ready, slots: slots ?? ready.slots })
  }
}

const running = new Set<number>()

function run(number: number, job: Job): void {
  const text = job.work.kind === 'chat' ? (job.work.messages[0]?.content ?? '') : ''
  const [what, argument = ''] = text.split('|')
  const end = (outputTokens: number) => {
    running.delete(number)
    chunks(number, { type: 'done', finish: ['stop'], usage: usage(outputTokens) })
  }
  running.add(number)
  switch (what) {
    case 'answer':
      chunks(number, accepted, token(0, 'a'), token(1, 'b'))
      end(2)
      return
    case 'crash-before-token':
      chunks(number, accepted)
      if (countIn(argument) <= 1) process.abort()
      chunks(number, token(0, 'again'))
      end(1)
      return
    case 'crash-always':
      process.abort()
      return
    case 'crash-after-token':
      chunks(number, accepted, token(0, 'a'))
      setTimeout(() => process.abort(), 20)
      return
    case 'wait':
      chunks(number, accepted, token(0, 'a'))
      return
    case 'flood': {
      chunks(number, accepted)
      const flood = Array.from({ length: Number(argument) }, (_, index) => token(index, 'x'))
      chunks(number, ...flood)
      return
    }
    case 'fail':
      say({
        type: 'run-failed',
        run: number,
        code: 'context_length_exceeded',
        message: 'Too long.',
        param: 'messages',
      })
      return
    case 'other-choice':
      chunks(number, accepted, { ...token(0, 'a'), choice: 7 } as Chunk)
      return
    case 'freeze':
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
}

process.on('message', (message: ToEngine) => {
  switch (message.type) {
    case 'load':
      console.log('scripted child loads')
      load(message.options)
      return
    case 'run':
      run(message.run, message.job)
      return
    case 'cancel':
      if (running.delete(message.run)) {
        chunks(message.run, { type: 'done', finish: ['cancelled'], usage: usage(1) })
      }
      return
    case 'calibrate':
      say({
        type: 'calibrated',
        result: {
          slots: 2,
          threads: 1,
          measured: [{ threads: 1, parallel: 2, tokensPerSecond: 10 }],
        },
      })
      return
  }
})
process.on('disconnect', () => process.exit(0))
