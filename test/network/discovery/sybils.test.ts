import { describe, expect, test } from 'vitest'
import { ENTRIES_MAX } from '../../../src/network/discovery/roster.ts'
import { rounds } from '../../campaign.ts'
import { model, operatorOn, Stage, type StagePeer } from './stage.ts'

const crowds = (stage: Stage, on: StagePeer) => {
  const operator = operatorOn(stage)
  const pause = () => stage.clock.advance(1_000)
  return (count: number, nameOf: (n: number) => string, nets = 2) =>
    operator.surround(on.network, count, { modelOf: (n) => model(nameOf(n)), nets }, pause)
}

const honestIp = (n: number) => `198.51.${n}.7`
const fresh = rounds(300, 1_000)

describe('a thousand fresh ids of one operator', () => {
  test('that come first do not keep out who comes later from elsewhere', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const crowd = crowds(stage, a)
    await crowd(fresh, () => 'm')
    expect(a.listed()).toHaveLength(ENTRIES_MAX)
    const late: StagePeer[] = []
    for (let n = 0; n < 10; n++) {
      const honest = await stage.peer({ models: ['m'], ip4: honestIp(n) })
      await stage.connect(honest, a)
      late.push(honest)
    }
    await crowd(50, () => 'm')
    expect(late.filter((honest) => !a.lists(honest))).toEqual([])
    expect(a.listed()).toHaveLength(ENTRIES_MAX)
  })

  test('push nobody out, with the models of others or with ever new ones', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const crowd = crowds(stage, a)
    const honest: StagePeer[] = []
    for (let n = 0; n < 10; n++) {
      honest.push(await stage.peer({ models: ['m'], ip4: honestIp(n) }))
      await stage.connect(honest[n] as StagePeer, a)
    }
    await crowd(fresh, () => 'm')
    await crowd(fresh, (n) => `made-up-${n}`)
    expect(honest.filter((each) => !a.lists(each))).toEqual([])
  })

  test('have a quarter of the places at most for models that they made up', async () => {
    const stage = new Stage()
    const a = await stage.peer()
    const crowd = crowds(stage, a)
    await crowd(ENTRIES_MAX, () => 'm', 1)
    await crowd(fresh, (n) => `made-up-${n}`, 1)
    const { directory } = a.discovery
    expect(directory.byModelName('m').length).toBeGreaterThanOrEqual(ENTRIES_MAX - 48)
    expect(directory.modelNames().size).toBeLessThanOrEqual(1 + 48)
  })
})
