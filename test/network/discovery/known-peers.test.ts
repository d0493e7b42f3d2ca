import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { knownPeerRows, sequenceRows } from '../../../src/network/discovery/peer-cache-rows.ts'
import { openMemoryStore } from '../../../src/storage/store.ts'
import { allRows } from '../../storage/rows.ts'
import { Disk, Stage } from './stage.ts'

describe('known peers', () => {
  test('are dialled after a restart, if the peer wants to join', async () => {
    const stage = new Stage()
    const disk = new Disk()
    const [a, b] = [await stage.peer({ disk }), await stage.peer()]
    await stage.connect(a, b)
    await stage.clock.advance(11_000)
    expect([...disk.peers.keys()]).toEqual([b.peerId])
    await stage.stop(a)
    const alone = await stage.peer({ disk, number: 1 })
    await stage.clock.advance(5_000)
    expect(alone.listed()).toEqual([])
    await stage.stop(alone)
    const back = await stage.peer({ disk, number: 1, rejoin: true })
    await stage.clock.advance(5_000)
    expect(back.listed()).toEqual([b.peerId])
    expect(b.listed()).toEqual([back.peerId])
  })

  test('are dialled again after a cut, though nobody is left to join through', async () => {
    const stage = new Stage()
    const [a, b] = [await stage.peer({ rejoin: true }), await stage.peer({ rejoin: true })]
    await stage.connect(a, b)
    await stage.clock.advance(600_000)
    stage.hub.cut(a.peerId, b.peerId)
    await stage.clock.advance(300_000)
    expect([...a.listed(), ...b.listed()]).toEqual([])
    stage.hub.heal()
    await stage.clock.advance(65_000)
    expect([...a.listed(), ...b.listed()].toSorted()).toEqual([a.peerId, b.peerId].toSorted())
  })

  test('are written seldom, and not without end', async () => {
    const stage = new Stage()
    const disk = new Disk()
    const a = await stage.peer({ disk })
    for (let n = 0; n < 150; n++) {
      const puppet = await stage.puppet()
      puppet.answer = puppet.signed()
      const { peerId, addrs } = puppet.network.status()
      void a.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
    }
    await stage.clock.advance(60_000)
    expect(a.listed()).toHaveLength(150)
    expect(disk.peers.size).toBe(128)
    expect(disk.writes).toBe(128)
  })

  test('are rows of the database, with the sequence of the own advert', async () => {
    const store = await openMemoryStore({ logger: silentLogger })
    const [peers, sequences] = [
      store.table('known-peers', knownPeerRows),
      store.table('own-sequence', sequenceRows),
    ]
    const earlier = { addresses: ['/ip4/10.0.0.1/tcp/1'], lastHeardAt: 5 }
    const known = { ...earlier, since: 2, net: '10.9.9' }
    await peers.put('a', known)
    await sequences.put('me', 7)
    expect(await allRows(peers)).toEqual([['a', known]])
    const bytes = new TextEncoder().encode(JSON.stringify(earlier))
    expect(knownPeerRows.value.decode(bytes)).toEqual({ ...earlier, since: 5, net: '10.0.0' })
    expect(await sequences.get('me')).toBe(7)
    for (const bad of [{}, { addresses: [1], lastHeardAt: 5 }, { addresses: [] }, null]) {
      const bytes = new TextEncoder().encode(JSON.stringify(bad))
      expect(() => knownPeerRows.value.decode(bytes)).toThrow()
    }
    expect(() => sequenceRows.value.decode(new TextEncoder().encode('-0.5'))).toThrow()
    await store.close()
  })

  test('that cannot be read or written are a warning, no more', async () => {
    const stage = new Stage()
    const disk = new Disk()
    const broken = () => {
      throw new Error('disk on fire')
    }
    disk.peerStore = () => ({ range: broken, put: broken, del: broken })
    const [a, b] = [await stage.peer({ disk }), await stage.peer()]
    await stage.connect(a, b)
    await stage.clock.advance(11_000)
    expect(a.listed()).toEqual([b.peerId])
    await stage.stop(a)
    expect(a.lines.filter(({ level }) => level === 'warn')).toHaveLength(3)
  })
})
