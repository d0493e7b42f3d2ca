import { describe, expect, it, vi } from 'vitest'
import { lookupKey } from '../../../src/wire/model-id.ts'
import { identityOf, type LogPeer, LogPeers } from './peers-stage.ts'

const [alice, bob, carol, dora] = [identityOf(1), identityOf(2), identityOf(3), identityOf(4)]

describe('an archive', () => {
  it('is looked for by an author that knows none, among those that say to be one', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    const other = await peers.peer(carol)
    await peers.connect(author, other)
    const [address = ''] = archive.network.status().addrs
    const key = Buffer.from(lookupKey('role', 'archive')).toString('hex')
    const said = new Map([dora, carol].map(({ peerId }) => [peerId, ['/ip4/127.0.0.1/tcp/9']]))
    peers.hub.dht.providers.set(key, said.set(archive.peerId, [address.replace(/\/p2p.*/, '')]))
    await author.write(3)
    await peers.clock.advance(2_000)
    expect(await archive.shows(bob)).toEqual([3])
    let lookups = 0
    const find = author.network.findProviders.bind(author.network)
    author.network.findProviders = (...asked) => {
      lookups++
      return find(...asked)
    }
    await author.write(1)
    await peers.clock.advance(120_000)
    expect(lookups).toBe(0)
  })

  it('is looked for by other archives, though each knows peers enough', async () => {
    const peers = new LogPeers()
    const [first, second] = [
      await peers.peer(alice, { archive: true }),
      await peers.peer(dora, { archive: true }),
    ]
    const author = await peers.peer(bob)
    const other = await peers.peer(carol)
    await peers.connect(author, first)
    await peers.connect(other, second)
    await peers.connect(author, other)
    const key = Buffer.from(lookupKey('role', 'archive')).toString('hex')
    const at = ({ network, peerId }: LogPeer): [string, string[]] => {
      const [address = ''] = network.status().addrs
      return [peerId, [address.replace(/\/p2p.*/, '')]]
    }
    peers.hub.dht.providers.set(key, new Map([at(first), at(second)]))
    await author.write(3)
    await peers.clock.advance(60_000)
    expect(first.network.isConnected(second.peerId)).toBe(true)
    expect(await second.shows(bob)).toEqual([3])
    await first.network.disconnect(second.peerId)
    await peers.clock.advance(180_000)
    expect(first.network.isConnected(second.peerId)).toBe(true)
  })

  it('is sought again soon while it has no place for the author', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    await peers.connect(author, await peers.peer(carol))
    const door = vi.spyOn(author.network, 'connect').mockRejectedValue(new Error('no place'))
    const key = Buffer.from(lookupKey('role', 'archive')).toString('hex')
    const [address = ''] = archive.network.status().addrs
    const said = new Map([[archive.peerId, [address.replace(/\/p2p.*/, '')]]])
    peers.hub.dht.providers.set(key, said)
    await author.write(3)
    await peers.clock.advance(300_000)
    // Where none is named, it is 120 s from one time to the next by then.
    expect(door.mock.calls.length).toBeGreaterThanOrEqual(9)
    door.mockRestore()
    await peers.clock.advance(31_000)
    expect(await archive.shows(bob)).toEqual([3])
  })
})
