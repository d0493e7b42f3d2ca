import { describe, expect, test } from 'vitest'
import {
  ADVERT_BYTES_MAX,
  encodeAdvertRequest,
  openAdvert,
  signDeparture,
} from '../../../src/wire/advert-codec.ts'
import { Disk, model, NETWORK, type Puppet, Stage, verify } from './stage.ts'

/** A peer, and a puppet that it has just connected to and asked. */
async function met(prepare: (puppet: Puppet, stage: Stage) => void) {
  const stage = new Stage()
  const peer = await stage.peer()
  const puppet = await stage.puppet()
  prepare(puppet, stage)
  await stage.connect(peer, puppet)
  const ask = async () => {
    puppet.network.drop(peer.peerId)
    await stage.connect(peer, puppet)
  }
  const entry = () => peer.discovery.directory.get(puppet.peerId)
  const faults = () => stage.hub.faults.map(({ peerId, reason }) => ({ peerId, reason }))
  return { stage, peer, puppet, ask, entry, faults }
}

describe('an advert is refused that', () => {
  test('another key signed', async () => {
    const { entry, faults, puppet } = await met((puppet, stage) => {
      puppet.answer = puppet.signed({}, { by: stage.identity() })
    })
    expect(entry()).toBeUndefined()
    expect(faults()).toContainEqual({ peerId: puppet.peerId, reason: 'bad_signature' })
  })

  test("is another peer's, though that one signed it", async () => {
    const { entry, faults, peer, puppet } = await met((puppet, stage) => {
      const other = stage.identity()
      puppet.answer = puppet.signed({ peerId: other.peerId }, { by: other })
    })
    expect(entry()).toBeUndefined()
    expect(peer.listed()).toEqual([])
    expect(faults()).toContainEqual({ peerId: puppet.peerId, reason: 'not_yours' })
  })

  test('is of another network', async () => {
    const { entry } = await met((puppet) => {
      puppet.answer = puppet.signed({}, { network: 'other' })
    })
    expect(entry()).toBeUndefined()
  })

  test('is too long, or no advert at all', async () => {
    for (const answer of [new Uint8Array(ADVERT_BYTES_MAX + 1), Uint8Array.of(1, 2, 3)]) {
      const { entry, faults, puppet } = await met((puppet) => {
        puppet.answer = answer
      })
      expect(entry()).toBeUndefined()
      expect(faults()).toContainEqual({ peerId: puppet.peerId, reason: 'malformed' })
    }
  })

  test('is older than one that was seen; nobody is blamed', async () => {
    const { entry, faults, puppet, ask } = await met((puppet) => {
      puppet.answer = puppet.signed({ sequence: 7, version: 'new' })
    })
    puppet.answer = puppet.signed({ sequence: 6, version: 'old' })
    await ask()
    expect(entry()?.advert.version).toBe('new')
    expect(faults().filter(({ reason }) => reason !== 'stale_advert')).toEqual([])
  })
})

describe('an advert counts', () => {
  test('though its sequence is far in the future, which binds only its signer', async () => {
    const { entry, puppet, ask } = await met((puppet) => {
      puppet.answer = puppet.signed({ sequence: Number.MAX_SAFE_INTEGER })
    })
    expect(entry()?.advert.sequence).toBe(Number.MAX_SAFE_INTEGER)
    puppet.answer = puppet.signed({ sequence: 5, version: 'later' })
    await ask()
    expect(entry()?.advert.version).toBe('1.2.3')
  })

  test('again under the same sequence: it is fresh evidence', async () => {
    const { entry, stage, ask } = await met((puppet) => {
      puppet.answer = puppet.signed()
    })
    const before = entry()?.heardAt ?? 0
    await stage.clock.advance(3_000)
    await ask()
    expect(entry()?.heardAt).toBeGreaterThan(before)
  })

  test('under the same sequence as it was first: two processes with one key may say two things', async () => {
    const { entry, puppet, ask, faults } = await met((puppet) => {
      puppet.answer = puppet.signed({ version: 'first' })
    })
    puppet.answer = puppet.signed({ version: 'second' })
    await ask()
    expect(entry()?.advert.version).toBe('first')
    puppet.answer = puppet.signed({ sequence: 2, version: 'second' })
    await ask()
    expect(entry()?.advert.version).toBe('second')
    expect(faults()).toEqual([])
  })

  test('with roles, kinds and fields of a newer version', async () => {
    const { entry } = await met((puppet) => {
      const models = [model('m', { kind: 'hologram', capabilities: ['smell'] })]
      puppet.answer = puppet.signed({ roles: ['oracle'], models })
    })
    expect(entry()?.advert.roles).toEqual(['oracle'])
    expect(entry()?.advert.models[0]?.kind).toBe('hologram')
  })
})

test('a request that only a newer version knows gets no answer, and nobody is blamed', async () => {
  const stage = new Stage()
  const [peer, puppet] = [await stage.peer(), await stage.puppet()]
  await stage.connect(peer, puppet)
  // Field 9, a message of no bytes.
  expect(await puppet.say(peer, 'advert/1', Uint8Array.of(9 * 8 + 2, 0))).toBeUndefined()
  expect(stage.hub.faults.filter(({ by }) => by === peer.peerId)).toEqual([])
})

test('a peer that opens a stream and says nothing is not waited for', async () => {
  const stage = new Stage()
  const [peer, puppet] = [await stage.peer(), await stage.puppet()]
  await stage.connect(peer, puppet)
  const signal = AbortSignal.timeout(5_000)
  const stream = await puppet.network.open(peer.peerId, 'advert/1', { signal })
  await stage.clock.advance(3_000)
  await expect(stream.read({ signal })).rejects.toMatchObject({ code: 'stream_reset' })
})

describe('the own advert', () => {
  test('says what the peer says of itself, and where it is', async () => {
    const stage = new Stage()
    const [peer, puppet] = [await stage.peer({ models: ['m', 'n'] }), await stage.puppet()]
    await stage.connect(puppet, peer)
    const answer = await puppet.say(peer, 'advert/1', encodeAdvertRequest({ type: 'ask' }))
    const bytes = answer ?? new Uint8Array()
    const advert = openAdvert(bytes, { network: NETWORK, verify, from: peer.peerId })
    expect(advert).toMatchObject({ ...peer.facts, ttlS: 60 })
    expect(advert.addresses.map((address) => `${address}/p2p/${peer.peerId}`)).toEqual([
      peer.address(),
    ])
  })

  test('is signed anew when something changes, at most once a second', async () => {
    const stage = new Stage()
    const [peer, reader] = [await stage.peer({ models: ['m'] }), await stage.peer()]
    await stage.connect(reader, peer)
    const sequences = new Set<number>()
    reader.discovery.onChange(({ entry }) => entry && sequences.add(entry.advert.sequence))
    await stage.clock.advance(10_000)
    sequences.clear()
    for (let n = 0; n < 300; n++) {
      peer.facts = { ...peer.facts, version: `1.2.${n}` }
      peer.discovery.changed()
      await stage.clock.advance(10)
    }
    await stage.clock.advance(3_000)
    expect(reader.discovery.directory.get(peer.peerId)?.advert.version).toBe('1.2.299')
    expect(sequences.size).toBeLessThanOrEqual(5)
  })

  test('is not signed anew when nothing is different', async () => {
    const stage = new Stage()
    const peer = await stage.peer({ models: ['m'] })
    const before = peer.disk.sequences.get(peer.peerId)
    peer.facts = structuredClone(peer.facts)
    peer.discovery.changed()
    await stage.clock.advance(5_000)
    expect(peer.disk.sequences.get(peer.peerId)).toBe(before)
  })

  test('never goes back, though the clock was set back between two lives', async () => {
    const stage = new Stage()
    const disk = new Disk()
    const first = await stage.peer({ disk })
    const before = disk.sequences.get(first.peerId) ?? 0
    await stage.stop(first)
    expect(disk.sequences.get(first.peerId)).toBeGreaterThan(before)
    stage.clock.setBack(86_400_000)
    const reader = await stage.peer()
    const second = await stage.peer({ disk, number: 1 })
    await stage.connect(reader, second)
    expect(reader.discovery.directory.get(second.peerId)?.advert.sequence).toBeGreaterThan(
      before + 1,
    )
  })

  test('outgrows a departure of a life that was forgotten', async () => {
    const stage = new Stage()
    const peer = await stage.peer({ number: 50 })
    const reader = await stage.peer()
    const puppet = await stage.puppet()
    await stage.connect(reader, peer)
    await stage.connect(peer, puppet)
    const future = stage.clock.now() + 1_000_000
    const signing = { network: NETWORK, sign: (message: Uint8Array) => peer.identity.sign(message) }
    const signed = signDeparture({ peerId: peer.peerId, sequence: future }, signing)
    await puppet.say(peer, 'advert/1', encodeAdvertRequest({ type: 'departure', signed }))
    await stage.clock.advance(15_000)
    expect(reader.discovery.directory.get(peer.peerId)?.advert.sequence).toBe(future + 1)
  })

  test('has the models that fit, and leaves out what no reader would take', async () => {
    const stage = new Stage()
    const peer = await stage.peer()
    const names = Array.from({ length: 80 }, (_, n) => `model-${n}-${'x'.repeat(100)}`)
    const models = ['not a name', ...names].map((name) => model(name))
    peer.facts = { ...peer.facts, models }
    peer.discovery.changed()
    await stage.clock.advance(1_000)
    const reader = await stage.peer()
    await stage.connect(reader, peer)
    const advert = reader.discovery.directory.get(peer.peerId)?.advert
    expect(advert?.models.length).toBeGreaterThan(20)
    expect(advert?.models.some(({ name }) => name === 'not a name')).toBe(false)
    expect(peer.lines.some(({ data }) => data.model === 'not a name')).toBe(true)
  })
})
