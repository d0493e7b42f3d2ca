import { describe, expect, it } from 'vitest'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { topics } from '../../../src/wire/protocols.ts'
import { encodeLogMessage } from '../../../src/wire/sync.ts'
import { ExampleLog } from '../../wire/log-examples.ts'
import { gather, notes } from '../feeds/stage.ts'
import { copied, identityOf, LogPeers } from './peers-stage.ts'
import { batchOf, end, LogTeller, scripted } from './scripted.ts'

const [alice, bob, carol, dora] = [identityOf(1), identityOf(2), identityOf(3), identityOf(4)]

describe('an archive', () => {
  it('has what was published within a moment', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    await peers.connect(author, archive)
    await peers.clock.advance(1_000)
    await author.write(3)
    await peers.clock.advance(250)
    expect(await archive.shows(bob)).toEqual([3])
    expect(peers.hub.faults).toEqual([])
  })

  it('has what was written before it came', async () => {
    const peers = new LogPeers()
    const author = await peers.peer(bob)
    await author.write(100)
    const archive = await peers.peer(alice, { archive: true })
    await peers.connect(author, archive)
    await peers.clock.advance(100)
    expect(await archive.shows(bob)).toEqual([100])
  })

  it('asks the author for what lies between', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const log = new ExampleLog(bob).append(...notes(6))
    const teller = new LogTeller(log)
    const author = await peers.hostile(
      bob,
      scripted((request) => (request.type === 'digest' ? [end()] : teller.tell(request))),
    )
    await peers.connect(author, archive)
    await peers.clock.advance(1_000)
    const batch = await batchOf(log, { from: 4 })
    await author.publish(topics.log, encodeLogMessage({ type: 'batch', batch }))
    await peers.clock.advance(100)
    expect(await archive.shows(bob)).toEqual([6])
    expect(teller.asked).toMatchObject([{ type: 'ranges', ranges: [{ from: 0 }] }])
  })

  it('has through another archive what an author who is gone has written', async () => {
    const peers = new LogPeers()
    const first = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    await peers.connect(author, first)
    await author.write(10)
    await peers.clock.advance(500)
    await author.stop()
    const second = await peers.peer(carol, { archive: true })
    await peers.connect(second, first)
    await peers.clock.advance(100)
    expect(await second.heads()).toEqual(await first.heads())
    expect(await second.shows(bob)).toEqual([10])
  })

  it('finds in its rounds what nobody told it', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob, { publish: false })
    await peers.connect(author, archive)
    await peers.clock.advance(1_000)
    await author.write(4)
    await peers.clock.advance(1_000)
    expect(await archive.shows(bob)).toEqual([])
    await peers.clock.advance(40_000)
    expect(await archive.shows(bob)).toEqual([4])
  })

  it('takes a log from where it begins, if its beginning was thrown away', async () => {
    const peers = new LogPeers()
    const author = await peers.peer(bob)
    await author.write(100)
    const early = await peers.peer(alice, { archive: true })
    await peers.connect(author, early)
    await peers.until(async () => (await early.shows(bob))[0] === 100)
    await author.log.prune(64)
    const late = await peers.peer(carol, { archive: true })
    await peers.connect(author, late)
    await peers.until(async () => (await late.shows(bob))[0] === 100)
    const [log] = await gather(late.feeds.feeds({ author: bob.publicKey }))
    expect(log?.start).toBe(64)
    await author.write(1)
    await peers.clock.advance(500)
    expect(await late.shows(bob)).toEqual([101])
    expect(await early.shows(bob)).toEqual([101])
    expect(peers.hub.faults).toEqual([])
  })

  it('goes without what nobody has any more', async () => {
    const peers = new LogPeers()
    const author = await peers.peer(bob)
    await author.write(10)
    const archive = await peers.peer(alice, { archive: true })
    await peers.connect(author, archive)
    await peers.until(async () => (await archive.shows(bob))[0] === 10)
    await archive.stop()
    await author.write(90)
    await peers.clock.advance(1_000)
    await author.log.prune(64)
    const other = await peers.peer(carol)
    await other.write(5)
    const again = await peers.peer(alice, { archive: true, backend: archive.backend })
    await peers.connect(author, again)
    await peers.connect(other, again)
    await peers.clock.advance(60_000)
    expect(await again.shows(bob)).toEqual([10])
    expect(await again.shows(carol)).toEqual([5])
    expect(peers.hub.faults).toEqual([])
  })

  it('hears nothing of what is kept between two parties', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    await peers.connect(author, archive)
    await author.write(3, { publish: false })
    await peers.clock.advance(60_000)
    expect(await archive.shows(bob)).toEqual([])
  })
})

/** A coordinator that has asked a provider for its log in vain for long, and seldom asks any more. */
async function waiting() {
  const peers = new LogPeers()
  const coordinator = await peers.peer(alice, { follow: true })
  const provider = await peers.peer(bob, { serves: true })
  await peers.connect(coordinator, provider)
  await peers.clock.advance(600_000)
  /** What comes with an answer. */
  const answered = async (entry: SealedEntry | undefined) => {
    const rows = coordinator.store.batch()
    if (entry !== undefined) await coordinator.held.put(rows, entry, provider.peerId)
    await coordinator.store.commit(rows)
  }
  return { peers, coordinator, provider, answered }
}

describe('a coordinator', () => {
  it('has the logs of providers as they grow', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    const coordinator = await peers.peer(alice, { follow: true })
    const other = await peers.peer(carol)
    await peers.connect(coordinator, provider)
    await peers.connect(coordinator, other)
    await provider.write(2)
    await other.write(2)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 2)
    await provider.write(1)
    await peers.clock.advance(300)
    expect(await coordinator.shows(bob)).toEqual([3])
    expect(await coordinator.shows(carol)).toEqual([])
  })

  it('asks ever less often for logs of one that has none, and has its first within a minute', async () => {
    const peers = new LogPeers()
    const coordinator = await peers.peer(alice, { follow: true })
    const provider = await peers.peer(bob, { serves: true })
    let asked = 0
    const { open } = coordinator.network
    coordinator.network.open = (...args) => {
      asked++
      return open.apply(coordinator.network, args)
    }
    await peers.connect(coordinator, provider)
    await peers.clock.advance(600_000)
    expect(asked).toBeLessThan(20)
    await provider.write(2)
    await peers.clock.advance(61_000)
    expect(await coordinator.shows(bob)).toEqual([2])
  })

  it('has the first log of one that did work for it at once', async () => {
    const { peers, coordinator, provider, answered } = await waiting()
    const [entry] = await provider.write(2)
    await answered(entry)
    await peers.clock.advance(100)
    expect(await coordinator.shows(bob)).toEqual([2])
  })

  it('does not ask one that shows no log with each of its answers', async () => {
    const { peers, coordinator, provider, answered } = await waiting()
    const [entry] = await provider.write(1, { publish: false })
    let asked = 0
    const { open } = coordinator.network
    coordinator.network.open = (...args) => {
      asked++
      return open.apply(coordinator.network, args)
    }
    for (let n = 0; n < 100; n++) {
      await answered(entry)
      await peers.clock.advance(1_000)
    }
    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThan(5)
  })

  it('goes on where it stopped when the provider is back', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    const coordinator = await peers.peer(alice, { follow: true })
    await peers.connect(coordinator, provider)
    await provider.write(2)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 2)
    await provider.stop()
    await peers.clock.advance(60_000)
    const again = await peers.peer(bob, { serves: true, backend: provider.backend })
    await peers.connect(coordinator, again)
    await again.write(1)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 3, 20_000)
  })

  it('begins a long log at its last part', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    await provider.write(5_000)
    const coordinator = await peers.peer(alice, { follow: true })
    await peers.connect(coordinator, provider)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 5_000)
    const [log] = await gather(coordinator.feeds.feeds({ author: bob.publicKey }))
    expect(log?.start).toBe(5_000 - 4_096)
  })

  it('follows the new log of a provider that was restored', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    const coordinator = await peers.peer(alice, { follow: true })
    await peers.connect(coordinator, provider)
    await provider.write(2)
    const backend = await copied(provider.backend)
    await provider.write(2)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 4)
    await provider.stop()
    const restored = await peers.peer(bob, { serves: true, backend })
    await peers.connect(coordinator, restored)
    await restored.write(1)
    await peers.until(async () => (await coordinator.shows(bob)).length === 2, 180_000)
    expect(await coordinator.shows(bob)).toEqual(expect.arrayContaining([4, 1]))
    expect(await coordinator.bars(bob)).toBe(false)
  })
})

/** A peer on a copy of its disk that is two entries old, and an archive that has all four. */
async function restoredFromBefore() {
  const peers = new LogPeers()
  const archive = await peers.peer(dora, { archive: true })
  const peer = await peers.peer(alice)
  await peers.connect(peer, archive)
  await peer.write(2)
  const backend = await copied(peer.backend)
  await peer.write(2)
  await peers.clock.advance(500)
  await peer.stop()
  const restored = await peers.peer(alice, { backend })
  return { peers, archive, restored }
}

describe('a peer that was restarted', () => {
  it('shows a head once another has said what it knows', async () => {
    const peers = new LogPeers()
    const peer = await peers.peer(alice)
    await peer.write(3)
    await peer.stop()
    const again = await peers.peer(alice, { backend: peer.backend })
    await peers.clock.advance(60_000)
    expect(again.log.isHeld).toBe(true)
    expect(await again.shows(alice)).toEqual([])
    const other = await peers.peer(bob)
    await peers.connect(again, other)
    await peers.clock.advance(2_500)
    expect(await again.shows(alice)).toEqual([3])
  })

  it('hears the archive first', async () => {
    const { peers, archive, restored } = await restoredFromBefore()
    const stranger = await peers.peer(bob)
    await peers.connect(restored, stranger)
    await peers.clock.advance(20)
    await peers.connect(restored, archive)
    while (restored.log.isHeld) await peers.clock.advance(1)
    await restored.write(1)
    await peers.clock.advance(1_000)
    expect((await archive.shows(alice)).sort()).toEqual([1, 4])
    expect(await archive.bars(alice)).toBe(false)
  })

  it('asks on when the first one did not know it', async () => {
    const { peers, archive, restored } = await restoredFromBefore()
    await peers.connect(restored, await peers.peer(bob))
    await peers.clock.advance(2_500)
    expect(await restored.shows(alice)).toEqual([2])
    await peers.connect(restored, archive)
    await peers.clock.advance(500)
    await restored.write(1)
    await peers.clock.advance(500)
    expect((await archive.shows(alice)).sort()).toEqual([1, 4])
    expect(await archive.bars(alice)).toBe(false)
  })

  it('waits no longer for an archive that does not answer', async () => {
    const peers = new LogPeers()
    const peer = await peers.peer(alice)
    await peer.write(3)
    await peer.stop()
    const again = await peers.peer(alice, { backend: peer.backend })
    const mute = await peers.hostile(dora, ({ ended }) => untilAborted(ended), {
      roles: ['archive'],
    })
    await peers.connect(mute, again)
    const other = await peers.peer(bob)
    await peers.connect(again, other)
    await peers.clock.advance(3_500)
    expect(again.log.isHeld).toBe(false)
  })
})

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
