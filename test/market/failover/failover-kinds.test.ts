import { describe, expect, it } from 'vitest'
import { PeerError } from '../../../src/base/errors.ts'
import type { TokenLogprob } from '../../../src/wire/chunk.ts'
import { vectorsHash } from '../../../src/wire/result-hash.ts'
import type { Routing } from '../../../src/wire/routing.ts'
import {
  Answer,
  chat,
  frames,
  jobOf,
  modelId,
  type Script,
  signal,
  stage,
} from '../coordinator-stage.ts'
import { lose, Writer } from './writer.ts'

const texts = Array.from({ length: 40 }, (_, at) => `t${at} `)
const TEXT = texts.join('')
const work = chat({ maxTokens: 500 })
const writing = { story: [texts], step: 1, held: 0 }

const whole: Script = async (line) => {
  const writer = new Writer(line, writing)
  writer.accept()
  while (writer.next());
  writer.done()
  while ((await line.hear()) !== undefined);
}

describe('this machine', () => {
  it('is gone on for by another, where its engine breaks down', async () => {
    const { coordinator, engine, provider, proof, identity } = await stage()
    engine.script = async function* () {
      yield { type: 'accepted', inputTokens: 5 }
      for (let at = 0; at < 10; at++) {
        yield { type: 'tokens', choice: 0, index: at, ids: [at], text: texts[at] ?? '' }
      }
      throw new PeerError('engine_failed', 'It broke.')
    }
    const good = await provider({
      script: whole,
      model: { name: 'test-chat', id: modelId('test-chat') },
    })
    const chunks: Answer['chunks'][number][] = []
    const job = jobOf({ work, model: 'test-chat' })
    for await (const chunk of coordinator.generate(job, { signal })) chunks.push(chunk)
    const { text, done, routed } = new Answer(chunks)
    expect(text).toBe(TEXT)
    expect(routed.node.id).toBe(identity.peerId)
    expect(done.resumed?.nodes).toEqual([identity.peerId, good.peerId])
    const bodies = await proof.bodies()
    expect(bodies.map(({ kind }) => kind)).toEqual(['execution', 'routing'])
    const routing = bodies[1]?.body as Routing
    expect(routing.parts).toMatchObject([
      { node: identity.publicKey, tokens: { output: 10 }, amount: 0 },
      { tokens: { output: 30 } },
    ])
    expect(routing.whole?.meteringUnits).toBe(45)
    expect(await proof.receipts.find(done.receipt?.cid ?? '')).toMatchObject({ verified: true })
  })

  it('goes on where it came to serve the model meanwhile', async () => {
    const { coordinator, engine, provider, identity } = await stage()
    const id = modelId('test-chat')
    const bad = await provider({ model: { name: 'other-name', id } })
    const { resolve } = engine
    engine.resolve = (name) => (name === 'other-name' ? undefined : resolve.call(engine, name))
    engine.script = async function* (job) {
      const from = job.resume?.[0]?.ids.length ?? 0
      yield { type: 'accepted', inputTokens: 5 }
      for (let at = from; at < texts.length; at++) {
        yield { type: 'tokens', choice: 0, index: at, ids: [at], text: texts[at] ?? '' }
      }
      const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: texts.length - from }
      yield { type: 'done', finish: ['stop'], usage }
    }
    for (const status of engine.status()) if (status.id === id) status.name = 'hidden'
    bad.script = async (line) => {
      for (const status of engine.status()) if (status.id === id) status.name = 'other-name'
      engine.resolve = resolve
      const writer = new Writer(line, writing)
      writer.accept()
      for (let n = 0; n < 10; n++) writer.next()
      await lose(line, 'reset')
    }
    const chunks: Answer['chunks'][number][] = []
    const job = jobOf({ work, model: 'other-name' })
    for await (const chunk of coordinator.generate(job, { signal })) chunks.push(chunk)
    const { text, done } = new Answer(chunks)
    expect(text).toBe(TEXT)
    expect(done.resumed?.nodes).toEqual([bad.peerId, identity.peerId])
  })
})

describe('embeddings', () => {
  const inputs = ['a', 'b', 'c']
  const of = (first: number, ...numbers: number[]) =>
    ({ type: 'vectors', first, length: 2, values: Float32Array.from(numbers) }) as const
  const model = { kind: 'embedding', embeddingLength: 2 } as const

  it('that did not come are asked for again, and none comes twice', async () => {
    const { collect, provider, proof } = await stage()
    let asked = 0
    const script: Script = async (line) => {
      line.say(frames.accept(), frames.progress())
      if (asked++ === 0) {
        line.say(of(1, 0, 1))
        await lose(line, 'reset')
        return
      }
      line.say(of(0, 1, 0, 0.6, 0.8, 1, 0), frames.done(0, { finish: [] }))
      while ((await line.hear()) !== undefined);
    }
    await provider({ script, model })
    await provider({ script, model })
    const { chunks, done } = await collect({ work: { kind: 'embedding', inputs } })
    const vectors = chunks.flatMap((chunk) => {
      if (chunk.type !== 'vectors') return []
      return chunk.vectors.map((vector, at) => [chunk.first + at, ...vector])
    })
    expect(vectors).toEqual([
      [1, 0, 1],
      [0, 1, 0],
      [2, 1, 0],
    ])
    expect(done).toMatchObject({ resumed: { times: 1 }, receipt: { status: 'final' } })
    const [routing] = await proof.bodies()
    expect(routing).toMatchObject({ body: { verdict: 'ok', parts: [{}] } })
    if (routing?.kind !== 'routing') throw new Error('no routing')
    const sent = [
      [1, 0],
      [0, 1],
      [1, 0],
    ].map((each) => Float32Array.from(each))
    expect(routing.body.whole?.resultHash).toEqual(vectorsHash(sent))
  })

  it('that do not come, whatever else does, are asked for elsewhere', async () => {
    const { collect, provider, clock } = await stage()
    let asked = 0
    let firstMs = 0
    const script: Script = async (line) => {
      line.say(frames.accept(), frames.progress())
      if (asked++ > 0) {
        line.say(of(0, 1, 0, 0, 1, 1, 0), frames.done(0, { finish: [] }))
        while ((await line.hear()) !== undefined);
        return
      }
      firstMs = line.job.firstTokenMs
      line.say(of(1, 0, 1))
      const { ended } = line.stream
      for (; !ended.aborted; await clock.sleep(500, ended).catch(() => {})) {
        line.say(frames.progress())
      }
    }
    await provider({ script, model })
    await provider({ script, model })
    const answer = collect({ work: { kind: 'embedding', inputs } })
    await clock.advance(10_000)
    const { done } = await answer
    expect(done.resumed?.route.attempts).toMatchObject([
      { outcome: 'silent', ms: firstMs },
      { outcome: 'resumed' },
    ])
  })
})

describe('of several choices', () => {
  const scoreOf = (choice: number, at: number): TokenLogprob => ({
    ...{ token: `c${choice}t${at}`, bytes: [at], logprob: -at / 8, top: [] },
  })

  it('each goes on by itself, and every token has its log-probability', async () => {
    const { collect, provider } = await stage()
    let asked = 0
    const script: Script = async (line) => {
      line.say(frames.accept(), frames.progress())
      // The first one gets to 3 tokens of choice 0 and 1 of choice 1, of 6 each.
      const ends = asked++ === 0 ? [3, 1, 0] : [6, 6, 6]
      for (const [choice, end] of ends.entries()) {
        for (let at = line.from(choice); at < end; at++) {
          const frame = frames.tokens(at, [`${at}`], choice)
          line.say({ ...frame, logprobs: [scoreOf(choice, at)] } as typeof frame)
        }
      }
      if (asked === 1) return await lose(line, 'end')
      expect(line.resumes.map(({ choice, text }) => [choice, text])).toEqual([
        [0, '012'],
        [1, '0'],
      ])
      const finish = ['stop', 'length', 'stop'] as const
      line.say(frames.done(14, { finish: [...finish] }))
      while ((await line.hear()) !== undefined);
    }
    await provider({ script })
    await provider({ script })
    const { chunks, done } = await collect({ work: chat({ choices: 3, logprobs: 0 }) })
    for (const choice of [0, 1, 2]) {
      const mine = chunks.flatMap((each) =>
        each.type === 'tokens' && each.choice === choice ? [each] : [],
      )
      expect(mine.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
      expect(mine.flatMap(({ logprobs = [] }) => logprobs)).toEqual(
        [0, 1, 2, 3, 4, 5].map((at) => scoreOf(choice, at)),
      )
    }
    expect(done).toMatchObject({
      finish: ['stop', 'length', 'stop'],
      usage: { inputTokens: 5, outputTokens: 18 },
    })
  })
})
