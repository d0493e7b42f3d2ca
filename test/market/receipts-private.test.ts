import { describe, expect, it } from 'vitest'
import { parseCid } from '../../src/wire/cid.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { frames, stage, two } from './coordinator-stage.ts'

const origin = { requestId: 'req_1', account: 'acct_1', endpoint: '/v1/x' }
const HOUR_MS = 3_600_000

type Stage = Awaited<ReturnType<typeof bothEnds>>

async function kinds({ proof, theirProof }: Stage, name: 'public' | 'private') {
  const both = [await proof.bodies(name), await theirProof.bodies(name)]
  return both.map((bodies) => bodies.map(({ kind }) => kind))
}

describe('where one side publishes nothing', () => {
  const sides: [side: string, options: Parameters<typeof bothEnds>[0], outcomes: string[]][] = [
    ['who asks', { own: { publish: 'none' } }, ['ok']],
    ['who does it', { publish: 'none' }, ['unwilling: publishes_none', 'ok']],
    ['neither', { own: { publish: 'none' }, publish: 'none' }, ['ok']],
  ]

  it.each(sides)('%s, nobody hears of the job', async (_side, options, outcomes) => {
    const all = await bothEnds(options)
    const { collect, proof, theirProof, clock, faults } = all
    const answer = await collect({ model: 'theirs', origin })
    await settled()
    expect(answer.outcomes).toEqual(outcomes)
    expect(answer.done.receipt?.status).toBe('final')
    expect(await kinds(all, 'public')).toEqual([[], []])
    expect(await kinds(all, 'private')).toEqual([['routing'], ['execution']])
    const names = [answer.done.receipt?.cid ?? '', answer.routed.openCid ?? '']
    for (const { live } of [proof, theirProof]) {
      expect(live.get(parseCid(names[1] as string).digest)?.isPublic).toBe(false)
    }
    for (const { receipts } of [proof, theirProof]) {
      expect(await receipts.find(names[0] as string)).toBeUndefined()
      expect(await receipts.recent({ limit: 10 })).toEqual({ views: [] })
    }
    // But for the account whose request it was.
    const view = await proof.receipts.ofRequest('req_1', 'acct_1')
    expect(view).toMatchObject({ cid: names[0], verified: true, routing: { body: { amount: 0 } } })
    expect(await proof.receipts.ofRequest('req_1', 'acct_2')).toBeUndefined()
    // What a provider wants is remembered for a while.
    expect((await collect({ model: 'theirs' })).outcomes).toEqual(['ok'])
    await clock.advance(HOUR_MS)
    expect((await collect({ model: 'theirs' })).outcomes).toEqual(outcomes)
    expect(await kinds(all, 'public')).toEqual([[], []])
    expect(faults()).toEqual([])
  })

  it('both do, everybody may', async () => {
    const all = await bothEnds()
    await all.collect({ model: 'theirs', origin })
    await settled()
    expect(await kinds(all, 'public')).toEqual([['routing'], ['execution']])
    expect(await kinds(all, 'private')).toEqual([[], []])
  })

  it('what it does itself is for the account alone', async () => {
    const { collect, proof } = await stage({ publish: 'none' })
    const { routed } = await collect({ model: 'test-chat', origin })
    expect(proof.live.get(parseCid(routed.openCid ?? '').digest)?.isPublic).toBe(false)
    expect(await proof.bodies()).toEqual([])
    expect((await proof.bodies('private')).map(({ kind }) => kind)).toEqual([
      'execution',
      'routing',
    ])
    expect(await proof.receipts.ofRequest('req_1', 'acct_1')).toMatchObject({ status: 'final' })
  })
})

it('a provider that wants it so and still refuses is left for another', async () => {
  const { collect, bad, good } = await two(async (line) =>
    line.say(frames.refuse('publishes_none')),
  )
  const { routed, outcomes } = await collect()
  expect(outcomes).toEqual(['unwilling: publishes_none', 'unwilling: publishes_none', 'ok'])
  expect(routed.node.id).toBe(good.peerId)
  expect(bad.lines.map(({ job }) => job.publish)).toEqual(['receipts', 'none'])
  expect(good.lines.map(({ job }) => job.publish)).toEqual(['receipts'])
})
