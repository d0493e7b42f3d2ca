import type { Peer, PeerId, PeerStore } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { dhtLimits } from '../../src/network/host/limits.ts'
import { PeerMemory, type PeerMemoryComponents } from '../../src/network/host/peer-memory.ts'
import { FakeClock } from '../base/fake-clock.ts'

const id = { toString: () => 'a peer' } as PeerId
const other = { toString: () => 'another' } as PeerId

/** A store of one peer that counts what is asked of it. */
function stage() {
  const clock = new FakeClock()
  const events = new EventTarget()
  const asked = { get: 0, merge: 0 }
  let peer = { id, addresses: [], protocols: ['known'] } as unknown as Peer
  const update = (fields: Partial<Peer>) => {
    peer = { ...peer, ...fields }
    events.dispatchEvent(new CustomEvent('peer:update', { detail: { peer } }))
  }
  const peerStore = {
    async get(asking: PeerId) {
      asked.get++
      if (asking !== id) throw Object.assign(new Error('unknown'), { name: 'NotFoundError' })
      return peer
    },
    async delete() {},
    async merge(_: PeerId, { protocols = [] }: { protocols?: string[] }) {
      asked.merge++
      update({ protocols: [...new Set([...peer.protocols, ...protocols])] })
      return peer
    },
  } as unknown as PeerStore
  const memory = new PeerMemory({ peerStore, events, clock } as unknown as PeerMemoryComponents)
  return { clock, asked, memory, update, peerStore }
}

test('a peer is read once, and again after a while', async () => {
  const { clock, asked, memory } = stage()
  for (let n = 0; n < 20; n++) expect((await memory.readers().getInfo(id)).multiaddrs).toEqual([])
  expect(asked.get).toBe(1)
  await clock.advance(dhtLimits.newsMs)
  await memory.get(id)
  expect(asked.get).toBe(2)
})

test('what has changed is known at once', async () => {
  const { memory, update } = stage()
  await memory.get(id)
  update({ protocols: ['new'] })
  expect((await memory.get(id)).protocols).toEqual(['new'])
})

test('what changed while it was read is not forgotten for what was read', async () => {
  const { memory, update } = stage()
  const reading = memory.get(id)
  update({ protocols: ['new'] })
  await reading
  expect((await memory.get(id)).protocols).toEqual(['new'])
})

test('who is unknown is asked for again', async () => {
  const { asked, memory } = stage()
  expect(await memory.readers().has(other)).toBe(false)
  expect(await memory.readers().has(other)).toBe(false)
  expect(asked.get).toBe(2)
})

test('who was deleted is not remembered', async () => {
  const { asked, memory, peerStore } = stage()
  memory.attend()
  await memory.get(id)
  await peerStore.delete(id)
  await memory.get(id)
  expect(asked.get).toBe(2)
})

test('a protocol that is written down already is not written down at each stream', async () => {
  const { asked, memory, peerStore } = stage()
  memory.attend()
  for (let n = 0; n < 20; n++) await peerStore.merge(id, { protocols: ['known'] })
  expect(asked.merge).toBe(0)
  for (let n = 0; n < 20; n++) await peerStore.merge(id, { protocols: ['new'] })
  expect(asked.merge).toBe(1)
  await peerStore.merge(id, { protocols: ['known'], multiaddrs: [] })
  expect(asked.merge).toBe(2)
})
