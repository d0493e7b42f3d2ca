import { describe, expect, test } from 'vitest'
import { rounds } from '../../campaign.ts'
import { model, type Puppet, Stage, type StagePeer } from './stage.ts'

/** Fresh ids of one operator, who has few nets; each connects and says what it has. */
async function crowd(
  stage: Stage,
  on: StagePeer,
  count: number,
  modelOf: (n: number) => string,
  nets = 2,
): Promise<Puppet[]> {
  const sybils: Puppet[] = []
  for (let n = 0; n < count; n++) {
    const sybil = await stage.puppet({ ip4: `203.0.${n % nets}.${n % 250}` })
    sybil.answer = sybil.signed({ models: [model(modelOf(n))] })
    const { peerId, addrs } = on.network.status()
    void sybil.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
    if (n % 50 === 49) await stage.clock.advance(1_000)
    sybils.push(sybil)
  }
  await stage.clock.advance(1_000)
  return sybils
}

const honestIp = (n: number) => `198.51.${n}.7`
const fresh = rounds(300, 1_000)

describe('a thousand fresh ids of one operator', () => {
  test('that come first do not keep out who comes later from elsewhere', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    await crowd(stage, a, fresh, () => 'm')
    expect(a.listed()).toHaveLength(256)
    const late: StagePeer[] = []
    for (let n = 0; n < 10; n++) {
      const honest = await stage.peer({ models: ['m'], ip4: honestIp(n) })
      await stage.connect(honest, a)
      late.push(honest)
    }
    await crowd(stage, a, 50, () => 'm')
    expect(late.filter((honest) => !a.lists(honest))).toEqual([])
    expect(a.listed()).toHaveLength(256)
  })

  test('push nobody out, with the models of others or with ever new ones', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const honest: StagePeer[] = []
    for (let n = 0; n < 10; n++) {
      honest.push(await stage.peer({ models: ['m'], ip4: honestIp(n) }))
      await stage.connect(honest[n] as StagePeer, a)
    }
    await crowd(stage, a, fresh, () => 'm')
    await crowd(stage, a, fresh, (n) => `made-up-${n}`)
    expect(honest.filter((each) => !a.lists(each))).toEqual([])
  })

  test('have a quarter of the places at most for models that they made up', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    await crowd(stage, a, 256, () => 'm', 1)
    await crowd(stage, a, fresh, (n) => `made-up-${n}`, 1)
    const { directory } = a.discovery
    expect(directory.byModelName('m').length).toBeGreaterThanOrEqual(256 - 64)
    expect(directory.modelNames().size).toBeLessThanOrEqual(1 + 64)
  })
})
