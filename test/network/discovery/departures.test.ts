import { expect, test } from 'vitest'
import { encodeAdvertRequest, signDeparture } from '../../../src/wire/advert-codec.ts'
import { lookupKey } from '../../../src/wire/model-id.ts'
import { NETWORK, type Puppet, Stage, type StagePeer } from './stage.ts'

const departed = (signed: Uint8Array) => encodeAdvertRequest({ type: 'departure', signed })

/** A listed puppet, connected to each of the peers. */
async function listedPuppet(stage: Stage, peers: readonly StagePeer[], sequence = 5) {
  const puppet = await stage.puppet()
  puppet.answer = puppet.signed({ sequence })
  for (const peer of peers) await stage.connect(peer, puppet)
  for (const peer of peers) expect(peer.lists(puppet)).toBe(true)
  return puppet
}

/** Its process is gone; whoever comes back under this id is another one. */
async function gone(stage: Stage, puppet: Puppet, peer: StagePeer, signed: Uint8Array) {
  await puppet.say(peer, 'advert/1', departed(signed))
  await puppet.network.stop()
  await stage.clock.advance(0)
}

test('who leaves is gone within a second from every view, those of strangers too', async () => {
  const stage = new Stage({ latencyMs: 20 })
  const leaving = await stage.peer({ models: ['m'] })
  const near = await stage.peer()
  const far = await stage.peer()
  await stage.connect(near, leaving)
  await stage.connect(far, near)
  await stage.connect(far, leaving)
  await stage.clock.advance(3_000)
  // It still lists the peer, but would not be told by it.
  leaving.network.drop(far.peerId)
  await stage.clock.advance(0)
  expect(near.lists(leaving) && far.lists(leaving)).toBe(true)
  const stopping = leaving.discovery.stop()
  await stage.clock.advance(900)
  expect(near.lists(leaving) || far.lists(leaving)).toBe(false)
  expect(near.lines.some(({ message }) => message === 'peer left')).toBe(true)
  await stopping
})

test('a good-bye that nobody hears does not hold up the end', async () => {
  const stage = new Stage()
  const [a, b] = [await stage.peer(), await stage.peer()]
  await stage.connect(a, b)
  stage.hub.freeze(b.peerId)
  let stopped = false
  const stopping = a.discovery.stop().then(() => {
    stopped = true
  })
  await stage.clock.advance(400)
  expect(stopped).toBe(true)
  await stopping
})

test('a departed peer is not revived by its old advert, by the DHT, nor by two who mention it', async () => {
  const stage = new Stage()
  const [a, b] = [await stage.peer(), await stage.peer()]
  await stage.connect(a, b)
  const puppet = await listedPuppet(stage, [a, b])
  const advert = puppet.signed({ sequence: 5 })
  const addresses = puppet.network.status().addrs
  await gone(stage, puppet, a, puppet.departure(6))
  expect(a.lists(puppet) || b.lists(puppet)).toBe(false)

  // The DHT remembers it for 48 hours, as a provider of all it had and by its record.
  for (const key of [lookupKey('role', 'provider'), lookupKey('model-name', 'm')]) {
    const name = Buffer.from(key).toString('hex')
    stage.hub.dht.providers.set(name, new Map([[puppet.peerId, addresses]]))
  }
  stage.hub.dht.records.set(`advert/${puppet.peerId}`, advert)
  const looking = a.discovery.lookUp('m', { signal: AbortSignal.timeout(5_000) })
  await stage.clock.advance(400_000)
  await looking
  expect(a.lists(puppet) || b.lists(puppet)).toBe(false)

  // Two holders of the old advert answer with it, when they are asked who they are.
  for (const number of [81, 82]) {
    const holder = await stage.puppet({ number })
    holder.answer = advert
    await stage.connect(a, holder)
  }
  expect(a.lists(puppet)).toBe(false)

  // Somebody with its key and its old advert is not it either.
  const thief = await stage.puppet({ number: 3 })
  expect(thief.peerId).toBe(puppet.peerId)
  thief.answer = advert
  await stage.connect(a, thief)
  expect(a.lists(puppet)).toBe(false)

  // It itself comes back, with a sequence that it had not signed before.
  thief.answer = thief.signed({ sequence: 7 })
  thief.network.drop(a.peerId)
  await stage.connect(a, thief)
  expect(a.lists(puppet)).toBe(true)

  // Its old departure does not remove it again.
  await thief.say(a, 'advert/1', departed(thief.departure(6)))
  expect(a.lists(puppet)).toBe(true)
})

test('who is said to have left by a twin, a process with the same key, comes back', async () => {
  const stage = new Stage()
  const [a, b] = [await stage.peer(), await stage.peer({ models: ['m'], number: 50 })]
  await stage.connect(a, b)
  const messenger = await stage.puppet()
  await stage.connect(messenger, a)
  const twin = stage.identity(50)
  expect(twin.peerId).toBe(b.peerId)
  const sequence = stage.clock.now() + 5_000
  const signing = { network: NETWORK, sign: (message: Uint8Array) => twin.sign(message) }
  const goodbye = departed(signDeparture({ peerId: twin.peerId, sequence }, signing))
  await messenger.say(a, 'advert/1', goodbye)
  expect(a.lists(b)).toBe(false)
  await stage.clock.advance(120_000)
  expect(a.lists(b)).toBe(true)
  expect(b.lines).toContainEqual(
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('its key') }),
  )
})

test('a departure is passed on once, however often it comes', async () => {
  const stage = new Stage()
  const [a, b] = [await stage.peer(), await stage.peer()]
  await stage.connect(a, b)
  const [witness, other] = [await stage.puppet(), await stage.puppet()]
  await stage.connect(a, witness)
  await stage.connect(a, other)
  const puppet = await listedPuppet(stage, [a, b])
  const signed = puppet.departure(6)
  for (let n = 0; n < 5; n++) {
    await other.say(a, 'advert/1', departed(signed))
    await other.say(a, 'advert/1', departed(puppet.departure(6 + n)))
    await stage.clock.advance(1_000)
  }
  expect(witness.told).toHaveLength(1)
  expect(b.lists(puppet)).toBe(false)
})

test('a forged departure removes nobody, and its bearer is blamed', async () => {
  const stage = new Stage()
  const a = await stage.peer()
  const puppet = await listedPuppet(stage, [a])
  const liar = await stage.puppet()
  await stage.connect(a, liar)
  const forged = puppet.departure(9, liar.identity)
  await liar.say(a, 'advert/1', departed(forged)).catch(() => {})
  expect(a.lists(puppet)).toBe(true)
  expect(stage.hub.faults).toContainEqual({
    by: a.peerId,
    peerId: liar.peerId,
    action: 'penalise',
    reason: 'bad_signature',
  })
})

test('departures of peers that nobody knows are neither kept nor passed on', async () => {
  const stage = new Stage()
  const a = await stage.peer()
  const [liar, witness] = [await stage.puppet(), await stage.puppet()]
  await stage.connect(a, liar)
  await stage.connect(a, witness)
  for (let number = 100; number < 130; number++) {
    const stranger = await stage.puppet({ number })
    await liar.say(a, 'advert/1', departed(stranger.departure(Number.MAX_SAFE_INTEGER)))
    if (number > 100) continue
    stranger.answer = stranger.signed({ sequence: 1 })
    await stage.connect(a, stranger)
    expect(a.lists(stranger)).toBe(true)
  }
  await stage.clock.advance(1_000)
  expect(witness.told).toEqual([])
})
