import { describe, expect, it } from 'vitest'
import { silence } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { frames, honest, type Script, stage, two } from './coordinator-stage.ts'

const never = () => new Promise<void>(() => {})

/** One provider, which has answered before. */
async function one() {
  const all = await stage()
  const only = await all.provider()
  await all.collect()
  await settled()
  only.lines.length = 0
  const { hub, network } = all
  return { ...all, only, cut: () => hub.cut(network.peerId, only.peerId) }
}

describe('where nobody else is left, one that was not heard of is asked again', () => {
  it('when it could not be reached, over a new connection', async () => {
    const { collect, clock, hub, network, cut } = await one()
    const connections: boolean[] = []
    network.onConnection(({ connected }) => connections.push(connected))
    cut()
    const answer = collect()
    await clock.advance(2_100)
    hub.heal()
    expect((await answer).outcomes).toEqual(['unreachable', 'ok'])
    expect(connections).toEqual([false, true])
  })

  const lossy: [how: string, outcome: string, script: Script][] = [
    ['did not say whether it takes the job', 'silent', never],
    [
      'fell silent',
      'silent',
      (line) => {
        line.say(frames.accept())
        return never()
      },
    ],
    ['broke off', 'broken', async (line) => line.say(frames.accept())],
  ]

  it.each(lossy)('when it %s', async (_how, outcome, script) => {
    const { collect, clock, only } = await one()
    only.script = async (line) => {
      only.script = honest
      await script(line)
    }
    const answer = collect()
    await clock.advance(3_100)
    expect((await answer).outcomes).toEqual([outcome, 'ok'])
    const [first, second] = only.lines
    expect(second?.job.attempt).toBe(2)
    expect(second?.job.promptRoot).toEqual(first?.job.promptRoot)
  })

  it('once, and no more', async () => {
    const { collect, clock, only, suspected } = await one()
    only.script = async (line) => line.say(frames.accept())
    const refused = expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    await clock.advance(100)
    await refused
    expect(only.lines).toHaveLength(2)
    expect(suspected).toEqual([only.peerId, only.peerId])
  })

  it('after all others', async () => {
    const { collect, bad, good } = await two(async (line) => line.say(frames.accept()))
    good.script = async (line) => line.say(frames.refuse('draining'))
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect([bad.lines.length, good.lines.length]).toEqual([2, 1])
  })

  it('over the connection that there is, while other jobs run there', async () => {
    const { collect, clock, network, only } = await one()
    let finish = () => {}
    only.script = async (line) => {
      line.say(frames.accept(5, 8), frames.tokens(0, ['a']))
      finish = () => line.say(frames.tokens(1, ['b']), frames.done(2))
      const beat = () => {
        line.say(frames.progress())
        clock.after(500, beat)
      }
      beat()
      await never()
    }
    const running = collect()
    await settled()
    only.script = async (line) => {
      only.script = honest
      line.say(frames.accept())
    }
    let closed = 0
    network.onConnection(() => closed++)
    expect((await collect()).outcomes).toEqual(['broken', 'ok'])
    finish()
    expect((await running).text).toBe('ab')
    expect(closed).toBe(0)
  })

  it('but not who refused', async () => {
    const { collect, only } = await one()
    only.script = async (line) => line.say(frames.refuse('unsupported'))
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(only.lines).toHaveLength(1)
  })
})

it('one that does not know this peer takes the place of the job that was cut off', async () => {
  const { collect, clock, hub, network, peerId, theirEngine } = await bothEnds()
  const { script } = theirEngine
  // Only who acknowledged a job may have two.
  theirEngine.script = async function* (job, options) {
    theirEngine.script = script
    hub.cut(network.peerId, peerId)
    yield* silence(job, options)
  }
  const answer = collect({ model: 'theirs' })
  await clock.advance(3_100)
  hub.heal()
  await clock.advance(100)
  expect((await answer).outcomes).toEqual(['silent', 'ok'])
})
