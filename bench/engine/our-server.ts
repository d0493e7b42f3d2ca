import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { endTokens } from '../../test/gguf/vocabulary.ts'
import { startProgram } from '../program.ts'
import { type Contestant, type ContestantOptions, events } from './contestant.ts'

const entry = fileURLToPath(new URL('../../bin/pinaivu-peer.ts', import.meta.url))

interface CompletionChunk {
  choices: { text: string }[]
  usage?: { prompt_tokens: number; completion_tokens: number } | null
}

/** A whole peer, asked over HTTP as llama-server is. */
export async function peer(options: ContestantOptions): Promise<Contestant> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-peer-'))
  const program = startProgram(process.execPath, [
    entry,
    'start',
    '--json',
    '--no-demo',
    ...['--data-dir', dataDir, '--log-level', 'error'],
    ...['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0'],
    ...['--model', `half=${options.model}`, '--slots', String(options.slots)],
    ...(options.threads === undefined ? [] : ['--threads', String(options.threads)]),
    ...(options.flags ?? []),
  ])
  const { http, apiKey } = await untilReady(program.process.stdout)
  let promptTokens = 0
  const logitBias = Object.fromEntries(
    endTokens(options.vocabulary).map((token) => [String(token), -100]),
  )
  return {
    name: 'our peer',
    promptTokens: () => promptTokens,
    async stop() {
      await program.stop()
      await rm(dataDir, { recursive: true })
    },
    async *answer({ prompt, tokens }) {
      const response = await fetch(`${http}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'half',
          prompt,
          max_tokens: tokens,
          temperature: options.temperature ?? 0,
          seed: 1,
          logit_bias: logitBias,
          stream: true,
          stream_options: { include_usage: true },
        }),
      })
      let seen = 0
      for await (const event of events(response)) {
        const { choices, usage } = event as CompletionChunk
        if (choices.some(({ text }) => text !== '')) {
          seen++
          yield 1
        }
        if (usage == null) continue
        promptTokens = usage.prompt_tokens
        // An event may carry several tokens: those of a character that takes more than one.
        if (usage.completion_tokens > seen) yield usage.completion_tokens - seen
      }
    },
  }
}

interface Event {
  event: string
  state?: string
  http: string
  apiKey: string
}

async function untilReady(stdout: NodeJS.ReadableStream | null) {
  if (stdout === null) throw new Error('the peer has no output to read')
  let ready: Event | undefined
  for await (const line of createInterface(stdout)) {
    const event: Event = JSON.parse(line)
    if (event.event === 'ready') ready = event
    if (event.state === 'failed') throw new Error(`the peer cannot load the model: ${line}`)
    if (ready !== undefined && event.state === 'ready') {
      stdout.resume()
      return ready
    }
  }
  throw new Error('the peer ended before it was ready')
}
