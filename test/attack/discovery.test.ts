import { describe, expect, test } from 'vitest'
import { model, operatorOn, Stage, type StagePeer } from '../network/discovery/stage.ts'

// What any number of ids do about a peer's view is in `network/discovery/eclipse.test.ts` and
// `sybils.test.ts`.

const HONEST = 8
const LIARS = 20

async function town() {
  const stage = new Stage()
  const gateway = await stage.peer()
  const honest: StagePeer[] = []
  for (let n = 0; n < HONEST; n++) {
    honest.push(await stage.peer({ models: ['m'], ip4: `198.51.${n}.7` }))
    await stage.connect(gateway, honest[n] as StagePeer)
  }
  const operator = operatorOn(stage)
  const pause = () => stage.clock.advance(1_000)
  const liars = await operator.surround(
    gateway.network,
    LIARS,
    { modelOf: () => model('m') },
    pause,
  )
  return { stage, gateway, honest, liars }
}

describe('slander', () => {
  test('of all by many takes nobody out of the directory', async () => {
    const { stage, gateway, honest, liars } = await town()
    for (let round = 0; round < 5; round++) {
      for (const liar of liars) {
        for (const { peerId } of honest) liar.slander(gateway.peerId, peerId).catch(() => {})
      }
      await stage.clock.advance(1_000)
      expect(honest.filter((each) => !gateway.lists(each))).toEqual([])
    }
    await stage.clock.advance(60_000)
    expect(honest.filter((each) => !gateway.lists(each))).toEqual([])
    const blamed = new Set(stage.hub.faults.map(({ peerId }) => peerId))
    expect(honest.filter(({ peerId }) => blamed.has(peerId))).toEqual([])
    expect(liars.filter(({ peerId }) => !blamed.has(peerId))).toEqual([])
  })
})

describe('adverts that promise everything', () => {
  test('under the names of others change neither what these mean nor who has them', async () => {
    const { stage, gateway, honest } = await town()
    const everything = model('m', {
      ...{ slots: 1_000_000, contextLength: 0xffff_ffff, price: { input: 0, output: 0 } },
    })
    const pause = () => stage.clock.advance(1_000)
    await operatorOn(stage).surround(gateway.network, 100, { modelOf: () => everything }, pause)
    const { directory } = gateway.discovery
    const serving = directory.byModelId(model('m').id).map(({ peerId }) => peerId)
    expect(serving).toEqual(expect.arrayContaining(honest.map(({ peerId }) => peerId)))
    expect([...directory.modelNames().keys()]).toEqual(['m'])
  })
})
