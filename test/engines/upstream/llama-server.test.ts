import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type LlamaServer,
  llamaServerProgram,
  startLlamaServer,
} from '../../../bench/llama-server.ts'
import { packageRoot } from '../../../src/base/package-root.ts'
import type { UpstreamEngine } from '../../../src/engines/upstream/upstream-engine.ts'
import type { ChatWork, Work } from '../../../src/wire/job.ts'
import { rounds } from '../../campaign.ts'
import { halfShape, writeHalf } from '../../gguf/llama-model.ts'
import { answer, chat, fault, jobOf, readyEngine, sampling } from './stage.ts'

// A server that we did not write: llama.cpp's own, built from the source that comes with node-llama-cpp. That
// takes minutes, so without it this is for `npm run test:long`, or for whoever has run `npm run bench engine`.

const demo = join(packageRoot(), 'models/pinaivu-demo-q8_0.gguf')
const BUILD_MS = 3_600_000
const isThere = existsSync(llamaServerProgram()) || rounds(0, 1) === 1
const title = 'llama-server itself'

async function open(model: string): Promise<{ server: LlamaServer; engine: UpstreamEngine }> {
  const server = await startLlamaServer({ model, threads: 1, slots: 2, context: 256 })
  onTestFinished(() => server.stop())
  const url = server.url
  const engine = await readyEngine(
    { url, stop: async () => {} },
    { key: 'sk-that-nobody-asks-for', readyMs: 50 },
  )
  return { server, engine }
}

const completion = (prompt: string, more: object = {}): Work => ({
  kind: 'completion',
  prompts: [prompt],
  sampling: { ...sampling, temperature: 0, ...more },
})

describe.skipIf(!isThere)(isThere ? title : `${title}: not built on this machine`, () => {
  it('is served as it is', { timeout: BUILD_MS }, async () => {
    const { engine, server } = await open(demo)
    expect(engine.status()).toMatchObject([
      { name: 'up', state: 'ready', slots: 2, facts: { kind: 'chat', contextLength: 256 } },
    ])
    const job = jobOf(chat({ temperature: 0, maxTokens: 60 }, 'What is a peer?'))
    const { text, done, accepted, tokens } = await answer(engine, job)
    expect(text).toContain('running process')
    expect(accepted).toBeGreaterThan(5)
    expect(done.usage.inputTokens).toBe(accepted)
    expect(done.usage.outputTokens).toBe(tokens.reduce((sum, { ids }) => sum + ids.length, 0))
    // The same prompt is counted the same, from its cache or not.
    expect((await answer(engine, { ...job, id: 'job_again' })).accepted).toBe(accepted)

    // Its grammar keeps even the smallest model to a schema; a template without tools has none.
    expect(engine.status()[0]?.capabilities).toEqual(['chat', 'completion', 'logprobs', 'json'])
    const schema = JSON.stringify({
      type: 'object',
      properties: { b: { enum: ['peer', 'node'] }, a: { type: 'boolean' } },
      required: ['b', 'a'],
      additionalProperties: false,
    })
    const asked = chat({ temperature: 0, maxTokens: 60 }) as ChatWork
    const format = { type: 'schema', name: 'n', schema } as const
    const written = JSON.parse((await answer(engine, jobOf({ ...asked, format }))).text)
    expect(Object.keys(written)).toEqual(['b', 'a'])
    const calling = { ...asked, functions: [{ name: 'f' }] }
    expect(await fault(engine, jobOf(calling))).toMatchObject({ param: 'tools' })

    const short = await answer(engine, jobOf(completion('One two', { maxTokens: 7 })))
    expect(short.done).toMatchObject({ finish: ['length'], usage: { outputTokens: 7 } })

    const scored = await answer(engine, jobOf(chat({ maxTokens: 4, logprobs: 2, temperature: 0 })))
    for (const { ids, logprobs = [] } of scored.tokens) {
      expect(logprobs).toHaveLength(ids.length)
      for (const { logprob, top } of logprobs) {
        expect(logprob).toBeLessThanOrEqual(0)
        expect(top).toHaveLength(2)
      }
    }

    const [word = ''] = text.split(' ').slice(2)
    const stopped = await answer(engine, jobOf(chat({ temperature: 0, stop: [word] })))
    expect(stopped.text).toBe(text.slice(0, text.indexOf(word)))
    expect(stopped.done.finish).toEqual(['stop'])

    const long = jobOf(chat({}, 'one two three four '.repeat(200)))
    expect(await fault(engine, long)).toMatchObject({ code: 'context_length_exceeded' })

    await server.stop()
    expect(await fault(engine)).toMatchObject({ code: 'model_failed' })
  })

  // A model that is slow enough takes some time to write and to load.
  const atLength = it.skipIf(rounds(0, 1) === 0)
  atLength('stops its work when nobody wants the rest', { timeout: BUILD_MS }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pinaivu-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const model = join(folder, 'half.gguf')
    writeHalf(model)
    const { engine, server } = await open(model)
    expect(engine.status()).toMatchObject([{ facts: { vocabularySize: halfShape.vocabulary } }])
    const leaving = new AbortController()
    for await (const chunk of engine.generate(jobOf(completion('1 2 3')), leaving)) {
      if (chunk.type === 'tokens') leaving.abort()
    }
    const busy = async () => {
      const slots = (await (await fetch(`${server.url}/slots`)).json()) as {
        is_processing: boolean
      }[]
      return slots.some(({ is_processing: isProcessing }) => isProcessing)
    }
    await expect.poll(busy, { timeout: 10_000 }).toBe(false)
  })
})
