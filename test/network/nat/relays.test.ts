import type { Connection, ConnectionLimits, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Underway } from '../../../src/base/underway.ts'
import { CircuitChange } from '../../../src/network/host/nat/circuit-change.ts'
import { natLimits, relayLimits, seatLimits } from '../../../src/network/host/nat/nat-limits.ts'
import { type Candidate, RelayKeeper } from '../../../src/network/host/nat/relay-keeper.ts'
import { relayQuota } from '../../../src/network/host/nat/relay-quota.ts'
import type { Relayed } from '../../../src/network/host/nat/relay-server.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { identityOf } from '../hosts.ts'

const { signal } = new AbortController()

async function peers(count: number): Promise<PeerId[]> {
  const made = Array.from({ length: count }, async (_, number) => {
    const { peerId } = await identityOf(new Uint8Array(32).fill(number + 1))
    return peerIdFromString(peerId)
  })
  return await Promise.all(made)
}

/** A peer behind a NAT, and the relays that it meets. */
function seeker(near: Candidate[], far: Candidate[] = [], full: PeerId[] = []) {
  const clock = new FakeClock()
  const seats = new Set<string>()
  const met = [...near]
  const kept = new Map<string, boolean>()
  const asked: string[] = []
  const keeper = new RelayKeeper({
    clock,
    random: systemRandom,
    logger: silentLogger,
    circuits: {
      get relays() {
        return [...seats]
      },
      has: (relay) => seats.has(relay),
      reserve: async (relay) => {
        asked.push(relay.toString())
        if (full.some((each) => each.equals(relay))) throw new Error('no seat')
        seats.add(relay.toString())
      },
      release: () => seats.clear(),
    },
    relays: async () => met,
    connect: async (peerId) => {
      const found = far.find(({ id }) => id.toString() === peerId)
      if (found === undefined) throw new Error('not there')
      met.push(found)
    },
    keep: (peerId, wanted) => kept.set(peerId, wanted),
    async *findProviders() {
      for (const { id } of far) yield { peerId: id.toString(), addresses: [] }
    },
  })
  return { keeper, clock, seats, kept, asked }
}

test('seats are taken in different parts of the internet first', async () => {
  const [a, b, c] = (await peers(3)) as [PeerId, PeerId, PeerId]
  for (let time = 0; time < 10; time++) {
    const near = [a, b].map((id) => ({ id, net: '60.0.0' }))
    const { keeper, seats } = seeker([...near, { id: c, net: '63.0.0' }])
    expect(await keeper.look(signal)).toBe(Number.POSITIVE_INFINITY)
    expect(seats.size).toBe(seatLimits.relays)
    expect(seats.has(c.toString())).toBe(true)
  }
})

test('where too few relays are connected, others are looked for, less and less often', async () => {
  const [a, b] = (await peers(2)) as [PeerId, PeerId]
  const found = seeker([{ id: a, net: 'x' }], [{ id: b, net: 'y' }])
  expect(await found.keeper.look(signal)).toBe(Number.POSITIVE_INFINITY)
  expect(found.seats.size).toBe(2)
  const alone = seeker([{ id: a, net: 'x' }])
  const pauses: number[] = []
  for (let time = 0; time < 8; time++) pauses.push(await alone.keeper.look(signal))
  expect(pauses[0]).toBe(seatLimits.againMsMin)
  expect(pauses.at(-1)).toBe(seatLimits.againMsMax)
})

test('one that is full is asked again after a while, less and less often', async () => {
  const [a] = (await peers(1)) as [PeerId]
  const full = [a]
  const { keeper, asked, seats, clock } = seeker([{ id: a, net: 'x' }], [], full)
  const { againMsMin, failedMsMax } = seatLimits
  for (const pauseMs of [
    againMsMin,
    againMsMin * 2,
    againMsMin * 4,
    ...Array(9).fill(failedMsMax),
  ]) {
    const before = asked.length
    expect(await keeper.look(signal)).toBeLessThanOrEqual(pauseMs)
    await keeper.look(signal)
    expect(asked.length).toBe(before + 1)
    await clock.advance(pauseMs)
  }
  full.pop()
  await keeper.look(signal)
  expect(seats.size).toBe(1)
  // It lost the seat: what was before the seat is forgotten.
  seats.clear()
  full.push(a)
  await keeper.look(signal)
  await clock.advance(againMsMin)
  const before = asked.length
  await keeper.look(signal)
  expect(asked.length).toBe(before + 1)
})

test('relays that are used stay connected, and no longer', async () => {
  const [a] = (await peers(1)) as [PeerId]
  const { keeper, kept } = seeker([{ id: a, net: 'x' }])
  await keeper.look(signal)
  keeper.changed()
  expect([...kept]).toEqual([[a.toString(), true]])
  keeper.release()
  expect([...kept]).toEqual([[a.toString(), false]])
})

function relay(all: PeerId[], addressOf: (number: number) => string) {
  const clock = new FakeClock()
  const circuits = new Underway<Relayed>()
  const seats: { peer: PeerId; address: string }[] = []
  const strangers = new Set<string>()
  const connections = all.map(
    (remotePeer, number) =>
      ({ remotePeer, remoteAddr: multiaddr(addressOf(number)) }) as Connection,
  )
  const quota = relayQuota({
    clock,
    server: { circuits, seats: () => seats },
    connections: () => connections,
    isWelcome: async (peer) => !strangers.has(peer.toString()),
  })
  const sit = async (number: number) => {
    const peer = all[number] as PeerId
    const isDenied = await quota.denyInboundRelayReservation(peer)
    if (!isDenied) seats.push({ peer, address: addressOf(number) })
    return !isDenied
  }
  const joins = async (from: PeerId, to: PeerId) => {
    const isDenied = await quota.denyOutboundRelayedConnection(from, to)
    if (!isDenied) circuits.add({ from: `${from}`, to: `${to}` })
    return !isDenied
  }
  return { clock, sit, joins, strangers, circuits }
}

test('one machine has a few seats at most, others still find one', async () => {
  const max = relayLimits.reservationsPerMachineMax
  const all = await peers(max + 2)
  const { sit } = relay(
    all,
    (number) => `/ip4/${number > max ? '63.0.0.1' : '61.0.0.1'}/tcp/${number + 1}`,
  )
  for (let number = 0; number < max; number++) expect(await sit(number)).toBe(true)
  expect(await sit(max)).toBe(false)
  expect(await sit(max + 1)).toBe(true)
})

test('one peer asks for a seat as often as it needs, and a stranger has none', async () => {
  const all = await peers(2)
  const { sit, strangers, clock } = relay(all, (number) => `/ip4/61.0.0.${number}/tcp/1`)
  strangers.add(`${all[1]}`)
  expect(await sit(1)).toBe(false)
  const { burst } = relayLimits.reserves
  for (let time = 0; time < burst; time++) expect(await sit(0)).toBe(true)
  expect(await sit(0)).toBe(false)
  await clock.advance(15_000)
  expect(await sit(0)).toBe(true)
})

test('two peers get so many circuits, and one among many others no more than its share', async () => {
  const all = await peers(2 + relayLimits.circuitsPerPeerMax)
  const [from, to, ...others] = all as [PeerId, PeerId, ...PeerId[]]
  const { joins, clock, strangers } = relay(all, () => '/ip4/61.0.0.1/tcp/1')
  const { burst, perSecond } = relayLimits.opensPerPair
  for (let time = 0; time < burst; time++) expect(await joins(from, to)).toBe(true)
  expect(await joins(from, to)).toBe(false)
  await clock.advance(1_000 / perSecond)
  expect(await joins(from, to)).toBe(true)
  const granted = []
  for (const other of others) granted.push(await joins(from, other))
  expect(granted.filter(Boolean).length).toBeLessThanOrEqual(relayLimits.circuitsPerPeerMax - burst)
  strangers.add(`${to}`)
  expect(await joins(others[0] as PeerId, to)).toBe(false)
})

test('a peer that many dial has room for some', async () => {
  const all = await peers(2 + relayLimits.circuitsPerPeerMax)
  const [to, ...others] = all as [PeerId, ...PeerId[]]
  const { joins } = relay(all, () => '/ip4/61.0.0.1/tcp/1')
  const granted = []
  for (const other of others) granted.push(await joins(other, to))
  expect(granted.filter(Boolean).length).toBe(relayLimits.circuitsPerPeerMax)
})

/** As far as a change between connections looks at one. */
function connection(limits?: ConnectionLimits, direction = 'outbound') {
  const made = {
    status: 'open',
    direction,
    streams: [] as object[],
    remoteAddr: multiaddr('/ip4/60.0.0.1/tcp/1'),
    ...(limits === undefined ? {} : { limits }),
    close: async () => {
      made.status = 'closed'
    },
    abort: () => {},
  }
  return made
}

function change(next = connection({ bytes: 100n })) {
  const clock = new FakeClock()
  const left: object[] = []
  const dialled: object[] = []
  const circuits = new CircuitChange({
    clock,
    logger: silentLogger,
    node: {
      dial: async () => {
        dialled.push(next)
        return next as unknown as Connection
      },
    },
    welcomed: async () => {},
    leave: (each) => left.push(each),
  })
  const bestOf = (...all: object[]) => circuits.bestOf(all as Connection[]) as unknown
  return { circuits, clock, left, dialled, bestOf }
}

test('a direct connection is better than any circuit, a fresh circuit than a used one', () => {
  const { bestOf } = change()
  const used = { bytes: 100n, seconds: 100 }
  const [direct, fresh, old] = [connection(), connection({ bytes: 100n }), connection(used)]
  expect(bestOf(old, fresh)).toBe(old)
  used.bytes = 50n
  expect(bestOf(old, fresh)).toBe(fresh)
  expect(bestOf(old, direct, fresh)).toBe(direct)
  direct.status = 'closed'
  expect(bestOf(old, direct)).toBe(old)
  expect(bestOf(direct)).toBeUndefined()
})

test('a circuit that is nearly used up is replaced once, and ends with what runs on it', async () => {
  const { bestOf, clock, left, dialled } = change()
  const granted = { bytes: 100n }
  const old = connection(granted)
  old.streams.push({})
  expect(bestOf(old)).toBe(old)
  granted.bytes = 20n
  expect(bestOf(old)).toBe(old)
  expect(bestOf(old)).toBe(old)
  await clock.advance(0)
  expect([dialled.length, left]).toEqual([1, [old]])
  await clock.advance(10 * natLimits.retireLookMs)
  expect(old.status).toBe('open')
  old.streams.pop()
  await clock.advance(natLimits.retireLookMs)
  expect(old.status).toBe('closed')
})

test('the side that was dialled replaces nothing', async () => {
  const { bestOf, dialled, clock } = change()
  const granted = { seconds: 100 }
  const old = connection(granted, 'inbound')
  bestOf(old)
  granted.seconds = 1
  bestOf(old)
  await clock.advance(0)
  expect(dialled).toEqual([])
})

test('when a direct one has come, circuits end with what runs on them', async () => {
  const { circuits, left } = change()
  const [direct, circuit] = [connection(), connection({ bytes: 100n })]
  circuits.came(circuit as unknown as Connection, [circuit, direct] as unknown as Connection[])
  expect(left).toEqual([])
  circuits.came(direct as unknown as Connection, [circuit, direct] as unknown as Connection[])
  expect([left, circuit.status, direct.status]).toEqual([[circuit], 'closed', 'open'])
})
