import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { relayLimits } from '../../../src/network/host/nat/nat-limits.ts'
import { rounds } from '../../campaign.ts'
import { bytesThrough, canMakeInternet, type NatKind } from '../../e2e/internet.ts'
import { doorOf, type FarHost, FarHosts } from './far-hosts.ts'

const patient = { timeout: 20_000, interval: 50 }

let far: FarHosts
beforeEach(async () => {
  far = new FarHosts()
  await far.internet.open()
})
afterEach(() => far.close())

const verdictOf = async (host: FarHost) => (await host.status()).nat?.verdict
const relaysOf = async (host: FarHost) => (await host.status()).nat?.relays ?? []
const addressesOf = async (host: FarHost) => (await host.status()).addrs

async function behind(address: string, kind: NatKind, ...doors: FarHost[]): Promise<FarHost> {
  const { machine } = await far.internet.home(address, kind)
  return await far.start(far.on(machine), { bootstrap: doors.map(doorOf) })
}

/** Joined, and both with a seat at the relay. */
async function pairBehind(relay: FarHost, kinds: [NatKind, NatKind]): Promise<[FarHost, FarHost]> {
  const [a, b] = await Promise.all([
    behind('61.0.0.1', kinds[0], relay),
    behind('62.0.0.1', kinds[1], relay),
  ])
  for (const each of [a, b])
    await expect.poll(() => relaysOf(each), patient).toEqual([relay.peerId])
  return [a, b]
}

// Each is some seconds of processes that start: most of them in the long run only.
const long = test.runIf(rounds(0, 1) > 0)

describe.runIf(await canMakeInternet())('behind a NAT', { timeout: 90_000 }, () => {
  long('a peer finds out how others reach it, and says only what leads to it', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const [hidden, forwarded] = await Promise.all([
      behind('61.0.0.1', 'cone', relay),
      behind('62.0.0.1', 'forwarded', relay),
    ])
    await expect.poll(() => verdictOf(relay), patient).toBe('public')
    await expect.poll(() => verdictOf(hidden), patient).toBe('private')
    await expect.poll(() => verdictOf(forwarded), patient).toBe('public')
    await expect
      .poll(async () => (await addressesOf(forwarded))[0], patient)
      .toBe(`/ip4/62.0.0.1/tcp/7463/p2p/${forwarded.peerId}`)
    await expect.poll(() => relaysOf(hidden), patient).toEqual([relay.peerId])
    const said = await addressesOf(hidden)
    expect(said[0]).toBe(`${doorOf(relay)}/p2p-circuit/p2p/${hidden.peerId}`)
    expect(said.some((address) => address.startsWith('/ip4/61.0.0.1/'))).toBe(false)
    await expect.poll(() => relaysOf(forwarded), patient).toEqual([])
  })

  long('two work through a third, and then without it', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const [a, b] = await pairBehind(relay, ['cone', 'cone'])
    // What began on the relay goes on while the hole is punched.
    await a.connect(b.peerId, await addressesOf(b))
    const first = a.echo({ peerId: b.peerId, frames: 60, bytes: 1_000, everyMs: 50 })
    await expect
      .poll(
        async () => (await a.status()).links.filter(({ peerId }) => peerId === b.peerId),
        patient,
      )
      .toEqual([expect.objectContaining({ relayed: false })])
    expect(await first).toMatchObject({ received: 60 })
    const before = await bytesThrough(relay.machine)
    const { received } = await a.echo({ peerId: b.peerId, frames: 100, bytes: 50_000 })
    expect(received).toBe(100)
    expect((await bytesThrough(relay.machine)) - before).toBeLessThan(100_000)
  })

  long('two whose NATs leave no hole stay on the relay', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const [a, b] = await pairBehind(relay, ['symmetric', 'symmetric'])
    await a.connect(b.peerId, await addressesOf(b))
    const before = await bytesThrough(relay.machine)
    const { received } = await a.echo({ peerId: b.peerId, frames: 100, bytes: 20_000 })
    expect(received).toBe(100)
    expect((await bytesThrough(relay.machine)) - before).toBeGreaterThan(4 * 100 * 20_000)
  })

  long('a lost relay cuts what runs over it at once, and another takes its place', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const [a, b] = await pairBehind(relay, ['symmetric', 'symmetric'])
    await a.connect(b.peerId, await addressesOf(b))
    const running = Promise.withResolvers<void>()
    a.onEcho(({ received }) => received === 5 && running.resolve())
    const echo = a.echo({ peerId: b.peerId, frames: 1_000, bytes: 100, everyMs: 20 })
    await running.promise
    const other = await far.open('63.0.0.1', { relay: true, bootstrap: [doorOf(relay)] })
    for (const each of [a, b]) await each.connect(other.peerId, [doorOf(other)])
    for (const each of [a, b]) {
      await expect.poll(async () => (await relaysOf(each)).length, patient).toBe(2)
    }
    const began = performance.now()
    relay.child.kill('SIGKILL')
    const { received, error } = await echo
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(received).toBeLessThan(1_000)
    expect(error).toBe('connection_lost')
    await expect.poll(() => relaysOf(b), patient).toEqual([other.peerId])
    await a.connect(b.peerId, await addressesOf(b))
    expect(await a.echo({ peerId: b.peerId, frames: 10, bytes: 100 })).toMatchObject({
      received: 10,
    })
  })

  test('a router that opens ports is asked to, and told when that is over', async () => {
    const door = await far.open('60.0.0.1')
    const { router, machine } = await far.internet.home('61.0.0.1', 'cone')
    const says = await far.router(router, '10.8.1.1')
    const host = await far.start(far.on(machine), { bootstrap: [doorOf(door)] })
    await expect.poll(() => verdictOf(host), patient).toBe('public')
    expect(says().open).toEqual([[7463, expect.objectContaining({ inner: '10.8.1.2' })]])
    await expect
      .poll(async () => (await addressesOf(host))[0], patient)
      .toBe(`/ip4/61.0.0.1/tcp/7463/p2p/${host.peerId}`)
    await host.stop()
    await expect.poll(() => says().open, patient).toEqual([])
  })

  long('who takes one seat after the other leaves some for the others', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const { machine } = await far.internet.home('61.0.0.1', 'cone')
    const first = far.on(machine)
    const crowd = Array.from({ length: relayLimits.reservationsPerMachineMax + 4 }, (_, number) =>
      number === 0 ? first : first.beside(number),
    )
    for (const [number, each] of crowd.entries()) {
      const listen = [`/ip4/0.0.0.0/tcp/${8_000 + number}`]
      await far.start(each, { bootstrap: [doorOf(relay)], listen })
    }
    const seated = async () => {
      const all = await Promise.all(crowd.map(relaysOf))
      return all.filter(({ length }) => length > 0).length
    }
    await expect.poll(seated, patient).toBeGreaterThan(relayLimits.reservationsPerMachineMax / 2)
    const honest = await behind('62.0.0.1', 'cone', relay)
    await expect.poll(() => relaysOf(honest), patient).toEqual([relay.peerId])
    expect(await seated()).toBeLessThanOrEqual(relayLimits.reservationsPerMachineMax)
  })

  long('who sends without end through a relay is cut off, and fills nobody’s memory', async () => {
    const relay = await far.open('60.0.0.1', { relay: true })
    const [thief, accomplice] = await pairBehind(relay, ['symmetric', 'symmetric'])
    await thief.connect(accomplice.peerId, await addressesOf(accomplice))
    const before = (await relay.status()).memory
    const bytes = 60_000
    const frames = Math.ceil((2 * relayLimits.circuitBytesMax) / bytes)
    const deaf = thief.echo({ peerId: accomplice.peerId, frames, bytes, deaf: true })
    const { received, error } = await thief.echo({ peerId: accomplice.peerId, frames, bytes })
    expect(received * bytes * 2).toBeLessThan(relayLimits.circuitBytesMax)
    expect(error).toBe('connection_lost')
    expect(await deaf).toMatchObject({ error: 'connection_lost' })
    expect((await relay.status()).memory - before).toBeLessThan(16 * 1024 * 1024)
  })
})
