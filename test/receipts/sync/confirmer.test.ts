import { describe, expect, it } from 'vitest'
import type { Signed } from '../../../src/wire/generate.ts'
import { gather } from '../feeds/stage.ts'
import { copied, identityOf, type LogPeer, LogPeers } from './peers-stage.ts'
import { end, scripted } from './scripted.ts'

const [alice, bob, carol] = [identityOf(1), identityOf(2), identityOf(3)]
const [dora, mallory] = [identityOf(4), identityOf(5)]

/** A peer that comes back as it was before it wrote two entries more, which the archive has. */
async function restored() {
  const peers = new LogPeers()
  const archive = await peers.peer(dora, { archive: true })
  const peer = await peers.peer(alice)
  await peers.connect(peer, archive)
  await peer.write(2)
  const backend = await copied(peer.backend)
  const [{ head: old } = { head: undefined }] = await gather(
    peer.feeds.feeds({ author: alice.publicKey }),
  )
  await peer.write(2)
  await peers.until(async () => (await archive.shows(alice))[0] === 4)
  await peer.stop()
  return { peers, archive, old: old as Signed, again: await peers.peer(alice, { backend }) }
}

/** Says that it is an archive, and knows just these heads of anybody. */
const teller = (peers: LogPeers, heads: Signed[]) =>
  peers.hostile(
    mallory,
    scripted(({ type }) => (type === 'authors' ? [{ type: 'heads', heads }, end()] : [end()])),
    { roles: ['archive'] },
  )

async function untilShown(peers: LogPeers, { log }: LogPeer): Promise<number> {
  const begun = peers.clock.elapsed()
  while (log.isHeld) await peers.clock.advance(1)
  return peers.clock.elapsed() - begun
}

describe('a peer that was restored from an old copy', () => {
  it.each(['nothing', 'an old head'])(
    'is not misled by who calls itself an archive and knows %s',
    async (what) => {
      const { peers, archive, old, again } = await restored()
      const liar = await teller(peers, what === 'nothing' ? [] : [old])
      await peers.connect(liar, again)
      await peers.clock.advance(300)
      await peers.connect(again, archive)
      await untilShown(peers, again)
      await again.write(1)
      await peers.clock.advance(1_000)
      expect((await archive.shows(alice)).sort()).toEqual([1, 4])
      expect(await archive.bars(alice)).toBe(false)
    },
  )

  it('goes on asking whoever comes later', async () => {
    const { peers, archive, old, again } = await restored()
    await peers.connect(await teller(peers, [old]), again)
    await untilShown(peers, again)
    await peers.clock.advance(60_000)
    await peers.connect(again, archive)
    await peers.clock.advance(2_000)
    await again.write(1)
    await peers.clock.advance(1_000)
    expect((await archive.shows(alice)).sort()).toEqual([1, 4])
    expect(await archive.bars(alice)).toBe(false)
  })
})

describe('a peer that was restarted', () => {
  async function restarted() {
    const peers = new LogPeers()
    const peer = await peers.peer(alice)
    await peer.write(3)
    await peer.stop()
    return { peers, again: await peers.peer(alice, { backend: peer.backend }) }
  }

  it('waits a moment where only one has answered, however often it comes', async () => {
    const { peers, again } = await restarted()
    const other = await peers.peer(bob)
    await peers.connect(again, other)
    await peers.clock.advance(500)
    await again.network.disconnect(bob.peerId)
    await peers.connect(again, other)
    const ms = await untilShown(peers, again)
    expect(ms).toBeGreaterThan(1_500)
    expect(ms).toBeLessThan(2_000)
    expect(await again.shows(alice)).toEqual([3])
  })

  it('waits for nothing where all have answered', async () => {
    const { peers, again } = await restarted()
    for (const who of [bob, carol]) await peers.connect(again, await peers.peer(who))
    expect(await untilShown(peers, again)).toBeLessThan(300)
  })
})
