import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../../src/identity/identity.ts'
import { protocols } from '../../../src/wire/protocols.ts'
import { ExampleLog } from '../../wire/log-examples.ts'
import { gather, note } from '../feeds/stage.ts'
import { alice, bob, carol, dora, mallory } from './attack-stage.ts'
import { identityOf, type LogPeer, LogPeers } from './peers-stage.ts'
import { LogTeller, scripted } from './scripted.ts'
import { Asker, given, kindsOf, rangeOf, serving } from './serve-stage.ts'

/** Logs of authors that nobody knows, one entry each. */
function madeUp(count: number, seed: number): ExampleLog[] {
  return Array.from({ length: count }, (_, n) => {
    const bytes = new Uint8Array(32).fill(seed)
    new DataView(bytes.buffer).setUint32(0, n)
    return new ExampleLog(identityFromSeed(bytes)).append(note(n))
  })
}

const all = async ({ feeds }: LogPeer) => (await gather(feeds.feeds())).length

/** Brings so many logs of strangers. */
async function flood(peers: LogPeers, archive: LogPeer, seed: number, count = 100) {
  const teller = new LogTeller(...madeUp(count, seed))
  const told = scripted((request) => teller.tell(request))
  await peers.connect(await peers.hostile(identityOf(seed), told), archive)
  await peers.clock.advance(5_000)
  return teller
}

describe('an archive', () => {
  const limits = { feedsMax: 30, strangersMax: 20, strangersPerSecond: 0.01 }

  it('takes only so many logs of strangers from one peer, and asks it for no more', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true, limits })
    const teller = await flood(peers, archive, 5)
    expect(await all(archive)).toBe(20)
    const asked = teller.asked.flatMap((each) => (each.type === 'ranges' ? each.ranges : []))
    expect(asked).toHaveLength(20)
    await peers.clock.advance(200_000)
    expect(await all(archive)).toBeGreaterThan(20)
    expect(await all(archive)).toBeLessThan(23)
    expect(peers.hub.faults).toEqual([])
  })

  it('that was filled by strangers has room for whoever comes, and for what others bring', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true, limits })
    for (const seed of [5, 6, 7]) await flood(peers, archive, seed)
    expect(await all(archive)).toBe(30)
    const honest = await peers.peer(dora)
    await honest.write(3)
    await peers.connect(honest, archive)
    await peers.until(async () => (await archive.shows(dora))[0] === 3, 15_000)
    // One that is gone, and of which another archive knows.
    const author = await peers.peer(bob)
    await author.write(5)
    const other = await peers.peer(carol, { archive: true })
    await peers.connect(author, other)
    await peers.until(async () => (await other.shows(bob))[0] === 5)
    await author.stop()
    peers.forget(author)
    await peers.connect(other, archive)
    await peers.until(async () => (await archive.shows(bob))[0] === 5, 60_000)
    expect(await all(archive)).toBeLessThanOrEqual(30)
    // It is not washed away again.
    await flood(peers, archive, 8)
    expect(await archive.shows(dora)).toEqual([3])
    expect(await archive.shows(bob)).toEqual([5])
    expect(peers.hub.faults).toEqual([])
  })

  it('says of a log that it has just thrown away that it was, which is no fault', async () => {
    const here = await serving({ intake: { feedsMax: 1 } })
    for (const who of [bob, carol]) await given(here, new ExampleLog(who).append(note(1)))
    const one = await here.asker()
    const answers = await one.ask({ type: 'ranges', ranges: [rangeOf(bob), rangeOf(carol)] })
    expect(kindsOf(answers)).toEqual(['batch', 'end pruned'])
  })

  it('keeps nobody waiting while it reads what it has, and says that it is busy', async () => {
    const peers = new LogPeers()
    const before = await peers.peer(alice, { archive: true })
    const author = await peers.peer(bob)
    await author.write(3)
    await peers.connect(author, before)
    await peers.until(async () => (await before.shows(bob))[0] === 3)
    await before.stop()
    const { backend } = before
    const { promise: reading, resolve } = Promise.withResolvers<void>()
    const archive = await peers.peer(alice, { archive: true, backend, reading })
    const asker = await peers.hostile(mallory, async () => {})
    await peers.connect(asker, archive)
    const ask = async () => {
      const signal = AbortSignal.timeout(10_000)
      const one = new Asker(await asker.open(archive.peerId, protocols.sync, { signal }))
      return one.ask({ type: 'digest', buckets: new Uint8Array(2048) })
    }
    expect(kindsOf(await ask())).toEqual(['end busy'])
    resolve()
    await peers.clock.advance(100)
    expect(await ask()).toMatchObject([{ places: [{ size: 3 }] }, { type: 'end' }])
  })

  it('stops while it reads what it has', async () => {
    const peers = new LogPeers()
    const { promise: reading, resolve } = Promise.withResolvers<void>()
    const archive = await peers.peer(alice, { archive: true, reading })
    let subscribed = 0
    archive.network.subscribe = () => {
      subscribed += 1
      return () => {}
    }
    const stopped = archive.replication.stop()
    resolve()
    await stopped
    await peers.clock.advance(100)
    expect(subscribed).toBe(0)
  })
})

describe('a coordinator', () => {
  it('keeps the last part of a log that grows without end', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    const limits = { authorBytesMax: 100_000 }
    const coordinator = await peers.peer(alice, { follow: true, limits })
    await peers.connect(coordinator, provider)
    for (let size = 400; size <= 2_000; size += 400) {
      await provider.write(400)
      await peers.until(async () => (await coordinator.shows(bob))[0] === size)
    }
    await peers.clock.advance(1_000)
    const [log] = await gather(coordinator.feeds.feeds({ author: bob.publicKey }))
    expect(2_000 - (log?.start ?? 0)).toBeLessThan(400)
    expect(peers.hub.faults).toEqual([])
  })

  it('lets go of those that it follows no more', async () => {
    const peers = new LogPeers()
    const gone = await peers.peer(bob, { serves: true })
    const coordinator = await peers.peer(alice, { follow: true, limits: { feedsMax: 1 } })
    await peers.connect(coordinator, gone)
    await gone.write(2)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 2)
    // As long as it is followed, there is no room for another.
    const next = await peers.peer(carol, { serves: true })
    await next.write(3)
    await peers.connect(coordinator, next)
    await peers.clock.advance(30_000)
    expect(await coordinator.shows(carol)).toEqual([])
    peers.forget(gone)
    await peers.peer(dora, { serves: true })
    await peers.until(async () => (await coordinator.shows(carol))[0] === 3)
    expect(await coordinator.shows(bob)).toEqual([])
  })

  it('goes on with a log whose provider threw away what lies between', async () => {
    const peers = new LogPeers()
    const provider = await peers.peer(bob, { serves: true })
    const before = await peers.peer(alice, { follow: true })
    await peers.connect(before, provider)
    await provider.write(10)
    await peers.until(async () => (await before.shows(bob))[0] === 10)
    await before.stop()
    await provider.write(90)
    await provider.log.prune(64)
    const coordinator = await peers.peer(alice, { follow: true, backend: before.backend })
    await peers.connect(coordinator, provider)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 100)
    const [log] = await gather(coordinator.feeds.feeds({ author: bob.publicKey }))
    expect(log?.start).toBe(64)
    await provider.write(1)
    await peers.until(async () => (await coordinator.shows(bob))[0] === 101)
    expect(peers.hub.faults).toEqual([])
  })
})
