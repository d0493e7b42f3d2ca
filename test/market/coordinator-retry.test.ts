import { describe, expect, it } from 'vitest'
import { settled } from '../base/fake-clock.ts'
import { frames, honest, modelId, type Script, signal, stage, two } from './coordinator-stage.ts'

const endless = () => new Promise<void>(() => {})

describe('before the first token, another provider takes over', () => {
  const silentAfter: [what: string, script: Script, outcome: string, ms: number][] = [
    ['refused for want of room', (line) => refuse(line, 'overloaded'), 'busy: overloaded', 0],
    ['is about to leave', (line) => refuse(line, 'draining'), 'failed: draining', 0],
    ['says it costs more', (line) => refuse(line, 'price_too_low'), 'unwilling: price_too_low', 0],
    ['refused with an unknown code', (line) => refuse(line, 'moon'), 'failed: moon', 0],
    ['does not say whether it takes the job', endless, 'silent', 2_000],
    [
      'took it and fell silent',
      async (line) => {
        line.say(frames.accept())
        await endless()
      },
      'silent',
      3_000,
    ],
    [
      'fell silent after a word about its progress',
      async (line) => {
        line.say(frames.accept(), frames.progress())
        await endless()
      },
      'silent',
      3_000,
    ],
    [
      'failed',
      async (line) => line.say(frames.accept(), frames.failed('engine_failed')),
      'failed: engine_failed',
      0,
    ],
    ['was stopped', async (line) => line.say(frames.accept(), cancelled), 'failed', 0],
    ['ended the stream', async (line) => line.say(frames.accept()), 'broken', 0],
    [
      'reset the stream',
      async (line) => {
        line.say(frames.accept())
        await settled()
        line.stream.reset(new Error('Gone.'))
      },
      'broken',
      0,
    ],
  ]
  const cancelled = frames.done(0, { finish: ['cancelled'] })

  async function refuse(line: Parameters<Script>[0], code: string) {
    line.say(frames.refuse(code))
  }

  it.each(silentAfter)('when the first one %s', async (_what, script, outcome, ms) => {
    const { collect, clock, bad, good } = await two(script)
    const answer = collect()
    await clock.advance(ms + 100)
    const { text, routed, chunks } = await answer
    expect(text).toBe('Hello world')
    expect(chunks.filter(({ type }) => type === 'accepted')).toHaveLength(1)
    const [first, second] = routed.route.attempts
    expect(first).toMatchObject({ node: bad.peerId, outcome })
    expect(second).toMatchObject({ node: good.peerId, outcome: 'ok' })
    expect(first?.ms).toBeGreaterThanOrEqual(Math.floor(ms))
    expect(good.lines[0]?.job.attempt).toBe(2)
    expect(good.lines[0]?.job.jobId).toMatch(/\.2$/)
  })

  it('when the first one is frozen', async () => {
    const { collect, clock, hub, bad, suspected } = await two(honest)
    hub.freeze(bad.peerId)
    const answer = collect()
    await clock.advance(2_100)
    expect((await answer).outcomes).toEqual(['unreachable', 'ok'])
    expect(suspected).toEqual([bad.peerId])
  })

  it('when the first one was killed', async () => {
    const { collect, hub, bad, suspected } = await two(honest)
    hub.kill(bad.peerId)
    expect((await collect()).outcomes).toEqual(['unreachable', 'ok'])
    expect(suspected).toEqual([bad.peerId])
  })

  it('when the first one is cut off in the middle of the prompt', async () => {
    const { collect, clock, hub, network, bad } = await two(async (line) => {
      line.say(frames.accept())
      hub.cut(network.peerId, bad.peerId)
      await endless()
    })
    const answer = collect()
    await clock.advance(3_100)
    expect((await answer).outcomes).toEqual(['silent', 'ok'])
  })

  it('but not while it shows progress, however slow it is', async () => {
    const { collect, clock, good } = await two(async (line) => {
      line.say(frames.accept())
      for (let n = 0; n < 20; n++) {
        await clock.sleep(500, signal)
        line.say(frames.progress())
      }
      line.say(frames.tokens(0, ['a']), frames.done(1))
    })
    const answer = collect()
    await clock.advance(10_100)
    expect((await answer).outcomes).toEqual(['ok'])
    expect(good.lines).toHaveLength(0)
  })
})

describe('what is not tried elsewhere', () => {
  it('one that does not end', async () => {
    const { coordinator, provider, clock, collect } = await stage({ totalMs: 30_000 })
    await provider({
      script: async (line) => {
        line.say(frames.accept())
        for (let at = 0; ; at++) {
          line.say(frames.tokens(at, ['a']))
          await clock.sleep(1_000, signal)
        }
      },
    })
    const answer = collect()
    const refused = expect(answer).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await clock.advance(31_200)
    await refused
    await coordinator.stop()
  })
})

describe('when everybody is busy', () => {
  const busy =
    (retryAfterMs: number): Script =>
    async (line) =>
      line.say(frames.refuse('overloaded', { retryAfterMs }))

  it('asks again when it was told to', async () => {
    const { collect, provider, clock } = await stage()
    const one = await provider({ script: busy(2_000) })
    const answer = collect()
    await clock.advance(1_900)
    one.script = honest
    expect(one.lines).toHaveLength(1)
    await clock.advance(200)
    expect((await answer).outcomes).toEqual(['busy: overloaded', 'ok'])
  })

  it('asks at once where one says that it has room', async () => {
    const { collect, provider, clock, load } = await stage()
    const one = await provider({ script: busy(9_000) })
    const answer = collect()
    await clock.advance(500)
    one.script = honest
    load(one.peerId, { running: 3 })
    await settled()
    expect((await answer).outcomes).toEqual(['busy: overloaded', 'ok'])
  })

  it('does not hear of it any more, where that was not so', async () => {
    const { collect, provider, clock, load, directory } = await stage({ firstByteMs: 120_000 })
    const liar = await provider({ script: busy(9_000) })
    const answer = collect()
    for (let n = 0; liar.lines.length < 4; n++) {
      load(liar.peerId, { running: n % 2 })
      await clock.advance(100)
    }
    const { byModelId } = directory
    let looks = 0
    directory.byModelId = (id) => {
      looks++
      return byModelId.call(directory, id)
    }
    load(liar.peerId, { running: 2 })
    await clock.advance(100)
    expect(looks).toBe(0)
    liar.script = honest
    await clock.advance(10_000)
    expect((await answer).text).toBe('Hello world')
  })

  it('takes the first that comes', async () => {
    const { collect, provider, clock } = await stage()
    await provider({ script: busy(9_000) })
    const answer = collect()
    await clock.advance(500)
    const newcomer = await provider()
    await settled()
    expect((await answer).routed.node.id).toBe(newcomer.peerId)
  })

  it('waits for a model that still loads', async () => {
    const { collect, provider, clock, load } = await stage()
    const { peerId, lines } = await provider()
    load(peerId, { ready: false })
    const answer = collect()
    await clock.advance(5_000)
    expect(lines).toHaveLength(0)
    load(peerId, { ready: true })
    await settled()
    expect((await answer).routed.node.id).toBe(peerId)
  })

  it('gives up when the time for the first token is over', async () => {
    const { collect, provider, clock, load } = await stage()
    load((await provider()).peerId, { ready: false })
    const answer = collect()
    const refused = expect(answer).rejects.toMatchObject({ code: 'first_byte_timeout' })
    await clock.advance(20_000)
    await refused
  })

  it('asks eight times at most', async () => {
    const { collect, provider, clock } = await stage({ firstByteMs: 120_000 })
    const { lines } = await provider({ script: busy(0) })
    const answer = collect()
    const refused = expect(answer).rejects.toMatchObject({ code: 'overloaded' })
    await clock.advance(120_000)
    await refused
    expect(lines).toHaveLength(8)
  })

  it('has a job at work stop when its time is over', async () => {
    const { collect, provider, clock } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept())
        for (;;) {
          const heard = await Promise.race([line.hear(), clock.sleep(500, signal)])
          if (heard?.type === 'cancel') return
          line.say(frames.progress())
        }
      },
    })
    const answer = collect()
    const refused = expect(answer).rejects.toMatchObject({ code: 'first_byte_timeout' })
    await clock.advance(20_500)
    await refused
    expect(lines[0]?.heard[0]?.type).toBe('cancel')
  })
})

describe('a provider that failed', () => {
  it('is not asked again soon, but it is before anybody goes away empty-handed', async () => {
    const { collect, clock, bad, good } = await two(async (line) => line.say(frames.accept()))
    expect((await collect()).outcomes).toEqual(['broken', 'ok'])
    bad.lines.length = 0
    for (let n = 0; n < 5; n++) expect((await collect()).outcomes).toEqual(['ok'])
    expect(bad.lines).toHaveLength(0)
    bad.script = honest
    good.script = async (line) => line.say(frames.refuse('draining'))
    expect((await collect()).outcomes).toEqual(['failed: draining', 'ok'])
    await clock.advance(0)
    expect(bad.lines).toHaveLength(1)
  })

  it('loses those who came back for its cache', async () => {
    const { collect, bad, good } = await two(async (line) => line.say(frames.accept()))
    expect((await collect()).routed.node.id).toBe(good.peerId)
    bad.script = honest
    const { routed } = await collect()
    expect(routed.node.id).toBe(good.peerId)
    const [first] = routed.route.candidates
    expect(first).toMatchObject({ node: good.peerId })
    expect(first?.reasons).toContain('had the last request of this account')
  })

  it('is the last that is heard of a model, for a while', async () => {
    const { collect, provider, directory, clock, lookUps } = await stage()
    const { peerId } = await provider()
    directory.remove(peerId)
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    const byId = { model: modelId('net-chat') }
    await expect(collect(byId)).rejects.toMatchObject({ code: 'no_nodes_available' })
    await clock.advance(10 * 60_000 + 1)
    expect(lookUps).toEqual([])
    await expect(collect()).rejects.toMatchObject({ code: 'model_not_found' })
    expect(lookUps).toEqual(['net-chat'])
  })
})

describe('where a part of the network is out of reach', () => {
  /** Far more than may be asked in vain, and one that seems worse than any of them. */
  async function cutOff() {
    const all = await stage()
    const { clock, hub, network, directory, load, provider } = all
    const lost = new Set<string>()
    for (let n = 0; n < 20; n++) lost.add((await provider()).peerId)
    const near = await provider()
    load(near.peerId, { tokensPerSecond: 1 })
    hub.silence(
      (from, to) => [from, to].includes(network.peerId) && (lost.has(from) || lost.has(to)),
    )
    await clock.advance(1_000)
    /** What a peer that is watched says every few seconds. */
    const hear = (peerId: string) => directory.update(peerId, { heardAt: clock.elapsed() })
    return { ...all, lost, near, hear }
  }

  it('two are asked in vain, and then whoever was heard of since', async () => {
    const { collect, clock, near, hear } = await cutOff()
    const answer = collect()
    for (let s = 0; s < 8; s++) {
      await clock.advance(500)
      hear(near.peerId)
    }
    await clock.advance(500)
    expect((await answer).outcomes).toEqual(['unreachable', 'unreachable', 'ok'])
    expect(near.lines).toHaveLength(1)
  })

  it('one that was not heard of since is asked all the same, when nobody else is left', async () => {
    const { collect, clock, hub, near } = await cutOff()
    const answer = collect()
    await clock.advance(4_500)
    expect(near.lines).toHaveLength(0)
    hub.heal()
    await clock.advance(4_000)
    expect((await answer).text).toBe('Hello world')
  })
})
