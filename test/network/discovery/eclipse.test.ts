import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anchorsAmong, whoIsForgotten } from '../../../src/network/discovery/anchors.ts'
import type { KnownPeer } from '../../../src/network/discovery/peer-cache.ts'
import { rounds } from '../../campaign.ts'
import { Disk, model, operatorOn, Stage, type StagePeer } from './stage.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const known = (fields: Partial<KnownPeer>): KnownPeer => ({
  addresses: [],
  lastHeardAt: 0,
  since: 0,
  net: 'here',
  ...fields,
})

describe('anchors', () => {
  const among = (peers: Record<string, Partial<KnownPeer>>, out: string[] = [], now = 0) =>
    anchorsAmong(
      Object.entries(peers).map(([id, fields]) => [id, known(fields)] as const),
      { now, isOut: (peerId) => out.includes(peerId) },
    )

  test('are those known for longest, each in a part of the internet of its own', () => {
    const peers = {
      young: { since: 9, net: 'a' },
      old: { since: 1, net: 'a' },
      b: { since: 3, net: 'b' },
      c: { since: 2, net: 'c' },
      d: { since: 5, net: 'd' },
      e: { since: 4, net: 'e' },
    }
    expect(among(peers)).toEqual(['old', 'c', 'b', 'e'])
    expect(among(peers, ['old', 'c'])).toEqual(['b', 'e', 'd', 'young'])
    expect(among(peers, [], 4 * DAY_MS)).toEqual([])
  })

  const peer = fc.record({ since: fc.nat(50), net: fc.constantFrom('x', 'y', 'z') })

  test('and nobody known is forgotten for any number of fresh ids in few nets', () => {
    fc.assert(
      fc.property(fc.array(peer, { maxLength: 300 }), (fresh) => {
        const kept = new Map<string, KnownPeer>()
        for (let n = 0; n < 8; n++)
          kept.set(`honest ${n}`, known({ since: n, net: `net ${n % 6}` }))
        fresh.forEach((fields, n) => {
          kept.set(`fresh ${n}`, known({ ...fields, since: fields.since + 100 }))
          while (kept.size > 24) kept.delete(whoIsForgotten(kept, 0) ?? '')
        })
        expect([...kept.keys()].filter((id) => id.startsWith('honest'))).toHaveLength(8)
      }),
    )
  })
})

/** A gateway that has known six honest providers for a day, in six parts of the internet. */
async function gateway() {
  const stage = new Stage()
  const disk = new Disk()
  const victim = await stage.peer({ disk, rejoin: true, number: 1_000_000 })
  const honest: StagePeer[] = []
  for (let n = 0; n < 6; n++) {
    honest.push(await stage.peer({ models: ['m'], ip4: `198.51.${n}.7` }))
    await stage.connect(victim, honest[n] as StagePeer)
  }
  await stage.clock.advance(60_000)
  return { stage, disk, victim, honest }
}

/** Ids of one operator in three nets, all of which have the model; they alone answer for the DHT. */
async function surround(stage: Stage, victim: StagePeer, count = rounds(80, 300)) {
  const crowd = { modelOf: () => model('m'), nets: 3 }
  const pause = () => stage.clock.advance(1_000)
  const came = await operatorOn(stage).surround(victim.network, count, crowd, pause)
  const sybils = came.map(({ peerId }) => peerId)
  eclipseDht(stage, victim, sybils)
  await stage.clock.advance(1_000)
  return sybils
}

function eclipseDht(stage: Stage, victim: StagePeer, sybils: readonly string[]): void {
  victim.network.findPeer = async () => []
  victim.network.findProviders = async function* () {
    for (const peerId of sybils) yield { peerId, addresses: [stage.hub.addressOf(peerId)] }
  }
}

const netsOf = (victim: StagePeer, peers: readonly StagePeer[]) =>
  new Set(peers.flatMap(({ peerId }) => victim.network.link(peerId)?.net ?? []))

describe('a gateway that an operator has surrounded', () => {
  test('keeps connections to those it knew before, in four nets at least', async () => {
    const { stage, victim, honest } = await gateway()
    await surround(stage, victim)
    await stage.clock.advance(rounds(120_000, 600_000))
    expect(netsOf(victim, honest).size).toBeGreaterThanOrEqual(4)
    const held = honest.filter(({ peerId }) => victim.network.kept.has(peerId))
    expect(netsOf(victim, held).size).toBeGreaterThanOrEqual(4)
    expect(honest.filter((each) => !victim.lists(each))).toEqual([])
  })

  test('finds its way back from a cut, though strangers are company enough', async () => {
    const { stage, victim, honest } = await gateway()
    const sybils = await surround(stage, victim)
    for (const { peerId } of honest) stage.hub.cut(victim.peerId, peerId)
    await stage.clock.advance(60_000)
    expect(netsOf(victim, honest).size).toBe(0)
    expect(victim.network.connected()).toHaveLength(sybils.length)
    stage.hub.heal()
    await stage.clock.advance(150_000)
    expect(netsOf(victim, honest).size).toBeGreaterThanOrEqual(4)
    expect(honest.filter((each) => victim.lists(each)).length).toBeGreaterThanOrEqual(4)
  })

  test('comes back to them after a restart, whoever is at the door first', async () => {
    const { stage, disk, victim, honest } = await gateway()
    await surround(stage, victim)
    await stage.clock.advance(rounds(60_000, HOUR_MS))
    await stage.stop(victim)
    const again = await stage.peer({ disk, rejoin: true, number: 1_000_000 })
    const sybils = await surround(stage, again)
    await stage.clock.advance(10_000)
    expect(netsOf(again, honest).size).toBeGreaterThanOrEqual(4)
    expect(again.network.connected().length).toBeGreaterThan(sybils.length)
    expect(honest.filter((each) => again.lists(each)).length).toBeGreaterThanOrEqual(4)
  })
})
