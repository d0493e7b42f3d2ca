import { describe, expect, it } from 'vitest'
import type { PeerError } from '../../../src/base/errors.ts'
import { identityFromSeed } from '../../../src/identity/identity.ts'
import { LOSSES_MAX } from '../../../src/market/failover/handover.ts'
import { TOKEN_MS } from '../../../src/market/remote/token-time.ts'
import type { Chunk } from '../../../src/wire/chunk.ts'
import type { FromProvider } from '../../../src/wire/generate.ts'
import { RESUME_BYTES_MAX } from '../../../src/wire/generate-shape.ts'
import { declaredModelId } from '../../../src/wire/model-id.ts'
import type { Routing } from '../../../src/wire/routing.ts'
import { type FakeClock, settled } from '../../base/fake-clock.ts'
import {
  Answer,
  chat,
  frames,
  jobOf,
  type ProviderSetup,
  type Script,
  type StageOptions,
  signal,
  stage,
} from '../coordinator-stage.ts'
import type { Line } from '../provider-line.ts'
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

/** So many tokens further, and then gone. */
const lostAfter =
  (count: number): Script =>
  async (line) => {
    const writer = new Writer(line, writing)
    writer.accept()
    for (let n = 0; n < count; n++) writer.next()
    await lose(line, 'reset')
  }

const refuses =
  (code: string): Script =>
  async (line) =>
    line.say(frames.refuse(code))

const endless = () => new Promise<void>(() => {})

/** So many tokens further, and from then on signs of life alone. */
const stalls =
  (count: number, clock: FakeClock): Script =>
  async (line) => {
    const writer = new Writer(line, writing)
    writer.accept()
    for (let n = 0; n < count; n++) writer.next()
    const { ended } = line.stream
    for (; !ended.aborted; await clock.sleep(500, ended).catch(() => {})) {
      line.say(frames.progress())
    }
  }

/** One that is asked first, and lost after ten tokens. */
async function lost(options: StageOptions = {}, setup: ProviderSetup = {}) {
  const all = await stage(options)
  const bad = await all.provider(setup)
  // One that is proven goes before one that nobody knows.
  await all.collect({ model: setup.model?.name ?? 'net-chat' })
  await settled()
  bad.lines.length = 0
  bad.script = async (line) =>
    line.resumes.length > 0 ? refuses('unsupported')(line) : await lostAfter(10)(line)
  const before = (await all.proof.bodies()).length
  const routings = async (): Promise<Routing[]> =>
    (await all.proof.bodies())
      .slice(before)
      .flatMap((each) => (each.kind === 'routing' ? [each.body] : []))
  return { ...all, bad, routings }
}

describe('who goes on', () => {
  it('is a peer where the content may be', async () => {
    const { collect, provider } = await lost({}, { region: 'FR' })
    const elsewhere = await provider({ script: whole, region: 'US' })
    const there = await provider({ script: whole, region: 'DE' })
    const { text, done } = await collect({ work, wishes: { jurisdiction: 'EU' } })
    expect(text).toBe(TEXT)
    expect(done.resumed?.nodes[1]).toBe(there.peerId)
    expect(elsewhere.lines).toEqual([])
  })

  it('asks for no more than the client pays', async () => {
    const price = { input: 1, output: 10 }
    const { collect, provider } = await lost({}, { model: { price } })
    const dear = await provider({ script: whole, model: { price: { input: 1, output: 11 } } })
    const lostAnswer = collect({ work, wishes: { maxPrice: price } })
    await expect(lostAnswer).rejects.toMatchObject({ code: 'provider_failed' })
    expect(dear.lines).toEqual([])
    await provider({ script: whole, model: { price } })
    expect((await collect({ work, wishes: { maxPrice: price } })).text).toBe(TEXT)
  })

  it('is none that the client does not want', async () => {
    const { collect, provider, bad } = await lost()
    const other = await provider({ script: whole })
    const answers = [{ only: [bad.peerId] }, { not: [other.peerId] }]
    for (const wishes of answers) {
      await expect(collect({ work, wishes })).rejects.toMatchObject({ code: 'provider_failed' })
    }
    expect(other.lines).toEqual([])
  })

  it('is one that can: who refuses is passed over, and not shunned', async () => {
    const { collect, provider, bad } = await lost()
    const older = await provider({ script: refuses('unsupported') })
    const other = await provider({ script: refuses('invalid_resume') })
    const good = await provider({ script: whole })
    const { text, done } = await collect({ work })
    expect(text).toBe(TEXT)
    expect(done.resumed?.nodes).toEqual([bad.peerId, good.peerId])
    for (const { lines } of [older, other]) expect(lines.length).toBeLessThanOrEqual(1)
    // For an answer from its beginning they are as good as before.
    for (const each of [older, other]) each.script = whole
    const only = [older.peerId, other.peerId]
    const { routed } = await collect({ work, wishes: { only } })
    const reasons = routed.route.candidates.flatMap((each) => each.reasons)
    expect(reasons).not.toContain('failed lately')
  })

  it('is another than one that shows signs of life, and writes nothing', async () => {
    const { collect, provider, clock, bad } = await lost()
    bad.script = stalls(10, clock)
    const good = await provider({ script: whole })
    const answer = collect({ work })
    await clock.advance(TOKEN_MS - 1)
    expect(good.lines).toEqual([])
    await clock.advance(1)
    const { text, done } = await answer
    expect(text).toBe(TEXT)
    expect(done.resumed?.nodes).toEqual([bad.peerId, good.peerId])
    expect(done.resumed?.route.attempts[0]).toMatchObject({ outcome: 'silent', ms: TOKEN_MS })
  })

  it('is nobody where only the reader took its time', async () => {
    const { coordinator, provider, clock, bad } = await lost()
    const goesOn = Promise.withResolvers<void>()
    bad.script = async (line) => {
      const writer = new Writer(line, writing)
      writer.accept()
      for (let n = 0; n < 10; n++) writer.next()
      await goesOn.promise
      while (writer.next());
      writer.done()
      while ((await line.hear()) !== undefined);
    }
    const good = await provider({ script: whole })
    const chunks: Chunk[] = []
    let tokens = 0
    for await (const chunk of coordinator.generate(jobOf({ work }), { signal })) {
      chunks.push(chunk)
      if (chunk.type !== 'tokens' || ++tokens !== 10) continue
      await clock.advance(TOKEN_MS + 1)
      void clock.advance(1_000).then(goesOn.resolve)
    }
    const { text, done } = new Answer(chunks)
    expect(text).toBe(TEXT)
    expect(done.resumed).toBeUndefined()
    expect(good.lines).toEqual([])
  })

  it('is the same one on a new connection, where it was only not heard of', async () => {
    const { collect, bad } = await lost()
    bad.script = async (line) => await (line.resumes.length > 0 ? whole : lostAfter(10))(line)
    const { text, done } = await collect({ work })
    expect(text).toBe(TEXT)
    expect(done.resumed?.nodes).toEqual([bad.peerId, bad.peerId])
    expect(done.resumed?.route.attempts.map(({ outcome }) => outcome)).toEqual([
      'broken',
      'resumed',
    ])
  })

  it('is waited for while all are busy', async () => {
    const { collect, provider, clock, load } = await lost()
    const busy = await provider({ script: refuses('overloaded') })
    const answer = collect({ work })
    await clock.advance(100)
    busy.script = whole
    load(busy.peerId, { running: 0 })
    await clock.advance(2_000)
    expect((await answer).text).toBe(TEXT)
  })

  it('is nobody for a model that is only declared', async () => {
    const { peerId } = identityFromSeed(new Uint8Array(32).fill(1))
    const model = { name: 'theirs', id: declaredModelId('theirs', peerId) }
    const { collect, provider, bad } = await lost({}, { model })
    const other = await provider({ script: whole, model })
    const answer = collect({ work, model: 'theirs' })
    await expect(answer).rejects.toMatchObject({ code: 'provider_failed' })
    expect(other.lines).toEqual([])
    expect(bad.lines).toHaveLength(1)
  })
})

describe('an answer that nobody goes on with', () => {
  it('fails after so many losses', async () => {
    const { collect, provider, routings } = await lost()
    for (let n = 0; n < LOSSES_MAX + 2; n++) await provider({ script: lostAfter(2) })
    await expect(collect({ work })).rejects.toMatchObject({ code: 'provider_failed' })
    const [routing, ...more] = await routings()
    expect(more).toEqual([])
    expect(routing).toMatchObject({
      ...{ verdict: 'dispute', dispute: 'broken' },
      tokens: { output: 10 + 2 * LOSSES_MAX },
    })
  })

  it('counts as failed, and is in the log before its client hears of it', async () => {
    const { collect, routings, coordinator } = await lost()
    const failed = collect({ work }).catch(async (error: PeerError) => {
      expect(await routings()).toHaveLength(1)
      return error.code
    })
    expect(await failed).toBe('provider_failed')
    expect(coordinator.activity().requests.failed60s).toBe(1)
  })

  it('fails when it is too long to be told', async () => {
    const { coordinator, provider, clock } = await stage()
    const long = 'x'.repeat(16 * 1_024)
    const frame = frames.tokens(
      0,
      Array.from({ length: 16 }, () => long.slice(0, 1_024)),
    )
    const count = Math.ceil(RESUME_BYTES_MAX / long.length)
    await provider({
      model: { contextLength: 1_000_000 },
      script: async (line) => {
        line.say(frames.accept())
        for (let n = 0; n < count; n++) {
          if (frame.type === 'tokens') line.say({ ...frame, first: n * 16 })
          if (n % 16 === 0) await settled()
        }
      },
    })
    const other = await provider({ script: refuses('moon'), model: { contextLength: 1_000_000 } })
    let length = 0
    const reading = (async () => {
      const job = jobOf({ work: chat({ maxTokens: 1_000_000 }), wishes: { not: [other.peerId] } })
      for await (const chunk of coordinator.generate(job, { signal })) {
        if (chunk.type === 'tokens') length += chunk.text.length
      }
    })()
    const failed = expect(reading).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(3_100)
    await failed
    expect(length).toBe(count * long.length)
  })

  it('ends when the time for all of it is over, however often it was resumed', async () => {
    const { collect, provider, clock, coordinator, routings } = await lost({ totalMs: 10_000 })
    await provider({
      script: async (line) => {
        const writer = new Writer(line, writing)
        writer.accept()
        writer.next()
        for (;;) {
          await clock.sleep(500, signal)
          line.say(frames.progress())
        }
      },
    })
    const refused = expect(collect({ work })).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await clock.advance(10_000)
    await refused
    // What it did, and what the first one did, is one entry, once the last has had its time.
    const stopping = coordinator.stop()
    await clock.advance(1_100)
    await stopping
    const all = await routings()
    expect(all).toMatchObject([{ dispute: 'late', tokens: { output: 11 } }])
  })

  it('and that the client leaves meanwhile is told as far as it came', async () => {
    const { coordinator, provider, clock, routings } = await lost()
    const { lines } = await provider({ script: endless })
    const leaving = new AbortController()
    const chunks: Answer['chunks'][number][] = []
    const reading = (async () => {
      for await (const chunk of coordinator.generate(jobOf({ work }), leaving)) chunks.push(chunk)
    })()
    while (lines.length === 0) await settled()
    leaving.abort()
    await clock.advance(1_100)
    await reading
    const { text, done } = new Answer(chunks)
    expect(text).toBe(texts.slice(0, 10).join(''))
    expect(done).toMatchObject({
      finish: ['cancelled'],
      usage: { inputTokens: 5, outputTokens: 10 },
      receipt: { status: 'partial' },
    })
    expect(await routings()).toMatchObject([{ dispute: 'broken', tokens: { output: 10 } }])
  })
})

describe('a provider that is to go on', () => {
  const liars: [what: string, script: (line: Line) => void][] = [
    ['goes on elsewhere', (line) => line.say({ ...frames.accept(), resumedAt: [9] } as never)],
    ['begins anew', (line) => line.say(frames.accept(), frames.tokens(0, ['t0 ']))],
    ['says text without a token, twice', (line) => line.say(frames.accept(), text(), text())],
    ['says nothing without a token', (line) => line.say(frames.accept(), frames.tokens(10, []))],
  ]
  const text = () => ({ ...frames.tokens(10, []), text: 'x' }) as FromProvider

  it.each(liars)('and %s, is told on', async (_what, lie) => {
    const { collect, provider, faults, bad, routings } = await lost()
    const liar = await provider({
      script: async (line) => {
        lie(line)
        await endless()
      },
    })
    const only = [bad.peerId, liar.peerId]
    await expect(collect({ work, wishes: { only } })).rejects.toMatchObject({
      code: 'provider_failed',
    })
    expect(faults()).toMatchObject([{ peerId: liar.peerId, action: 'penalise' }])
    expect(await routings()).toMatchObject([{ tokens: { output: 10 } }])
  })

  it('is not the one that was lost, nor is that asked by others soon', async () => {
    const { collect, provider, bad } = await lost()
    const good = await provider({ script: whole })
    for (let n = 0; n < 5; n++) expect((await collect({ work })).text).toBe(TEXT)
    expect(bad.lines).toHaveLength(1)
    const wishes = { only: [bad.peerId, good.peerId] }
    const { candidates } = (await collect({ work, wishes })).routed.route
    const { reasons } = candidates.find(({ node }) => node === bad.peerId) ?? {}
    expect(reasons).toContain('failed lately')
  })

  it('has lost a job, when it finds fault with what it has begun', async () => {
    const { collect, provider, bad } = await lost()
    bad.script = async (line) => {
      const writer = new Writer(line, writing)
      writer.accept()
      writer.next()
      line.say(frames.failed('invalid_value'))
    }
    const good = await provider({ script: whole })
    const { text, routed } = await collect({ work })
    expect(text).toBe(TEXT)
    expect(routed.node.id).toBe(bad.peerId)
    const wishes = { only: [bad.peerId, good.peerId] }
    const { candidates } = (await collect({ work, wishes })).routed.route
    const { reasons } = candidates.find(({ node }) => node === bad.peerId) ?? {}
    expect(reasons).toContain('lost 50 % of its jobs')
  })
})
