import { describe, expect, it } from 'vitest'
import type { Identity } from '../../../src/identity/identity.ts'
import { entryCid } from '../../../src/wire/cid.ts'
import { encodeDagCbor } from '../../../src/wire/dag-cbor.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { topics } from '../../../src/wire/protocols.ts'
import { encodeLogMessage, type SyncAnswer } from '../../../src/wire/sync.ts'
import { ExampleLog, filled } from '../../wire/log-examples.ts'
import { note, notes } from '../feeds/stage.ts'
import { aborted, alice, bob, carol, dora, logOf, mallory, under } from './attack-stage.ts'
import { identityOf, type LogPeer, LogPeers } from './peers-stage.ts'
import { batchOf, end, LogTeller, placeOf, scripted } from './scripted.ts'

/** Whatever happened before, it still learns what an honest peer has. */
async function stillLearns(
  peers: LogPeers,
  archive: LogPeer,
  { publish = true } = {},
): Promise<void> {
  const honest = await peers.peer(dora, { publish })
  await honest.write(3)
  await peers.connect(honest, archive)
  await peers.until(async () => (await archive.shows(dora))[0] === 3, 15_000)
}

describe('an archive is not misled by one that', () => {
  it('says that it has what it has not', async () => {
    const log = logOf(bob, 5)
    const { peers, archive } = await under(({ type }) =>
      type === 'digest' ? [{ type: 'places', places: [placeOf(log)] }, end()] : [end()],
    )
    await peers.clock.advance(100)
    expect(peers.faultsOf(mallory)).toEqual(['not_supplied'])
    await stillLearns(peers, archive)
  })

  it('answers slowly, as often as it comes with a new name', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const slow = scripted(async (request) => {
      if (request.type === 'digest') await peers.clock.sleep(9_000, new AbortController().signal)
      return [end()]
    })
    for (let n = 0; n < 12; n++) {
      await peers.connect(await peers.hostile(identityOf(20 + n), slow), archive)
    }
    // Not by gossip, which waits for nobody.
    await stillLearns(peers, archive, { publish: false })
  })

  it('says without end which logs it has', async () => {
    const places = Array.from({ length: 512 }, (_, n) => ({
      ...placeOf(logOf(bob, 1)),
      epoch: Uint8Array.of(n >> 8, n, 0, 0, 0, 0, 0, 0),
    }))
    const { peers, archive } = await under(function* () {
      for (;;) yield { type: 'places', places } as SyncAnswer
    })
    await peers.clock.advance(1_000)
    expect(peers.faultsOf(mallory)).toEqual(['sync_endless'])
    await stillLearns(peers, archive)
  })

  it('shows half of what it says it has', async () => {
    const log = logOf(bob, 6)
    const { peers, archive } = await under(async (request) => {
      if (request.type === 'digest') return [{ type: 'places', places: [placeOf(log)] }, end()]
      if (request.type !== 'ranges') return [end()]
      return [{ type: 'batch', batch: await batchOf(log, { from: 0, to: 3 }) }, end()]
    })
    await peers.clock.advance(100)
    expect(peers.faultsOf(mallory)).toEqual(['not_supplied'])
    const honest = await peers.hostile(
      carol,
      scripted((request) => teller.tell(request)),
    )
    const teller = new LogTeller(log)
    await peers.connect(honest, archive)
    await peers.until(async () => (await archive.shows(bob))[0] === 6)
    // What is there already is not asked for again.
    const ranges = teller.asked.flatMap((each) => (each.type === 'ranges' ? each.ranges : []))
    expect(ranges).toMatchObject([{ from: 3 }])
    expect(peers.faultsOf(carol)).toEqual([])
  })

  it.each<[string, () => Promise<SyncAnswer>]>([
    [
      'another log',
      async () => ({ type: 'batch', batch: await batchOf(logOf(carol, 3), { from: 0 }) }),
    ],
    [
      'a later part',
      async () => ({ type: 'batch', batch: await batchOf(logOf(bob, 5), { from: 2 }) }),
    ],
    ['places', async () => ({ type: 'places', places: [] })],
    [
      'nothing of it',
      async () => ({
        type: 'batch',
        batch: { ...(await batchOf(logOf(bob, 5), { from: 0 })), entries: [], path: [] },
      }),
    ],
  ])('answers with %s', async (_what, answer) => {
    const { peers, archive } = await under(async (request) =>
      request.type === 'digest'
        ? [{ type: 'places', places: [placeOf(logOf(bob, 5))] }, end()]
        : [await answer(), end()],
    )
    await peers.clock.advance(100)
    expect(peers.faultsOf(mallory)).toEqual(['not_asked'])
    expect(await archive.heads()).toEqual([])
    await stillLearns(peers, archive)
  })

  it('puts other entries under a head', async () => {
    const log = logOf(bob, 5)
    const { peers, archive } = await under(async (request) => {
      if (request.type === 'digest') return [{ type: 'places', places: [placeOf(log)] }, end()]
      if (request.type !== 'ranges') return [end()]
      const batch = await batchOf(log, { from: 0 })
      batch.entries[2] = note(999).bytes
      return [{ type: 'batch', batch }, end()]
    })
    await peers.clock.advance(100)
    expect(peers.faultsOf(mallory)).toEqual(['bad_log'])
    expect(await archive.heads()).toEqual([])
  })

  it('puts other entries behind those that are there', async () => {
    const log = logOf(bob, 5)
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const honest = new LogTeller(logOf(bob, 2))
    await peers.connect(
      await peers.hostile(
        carol,
        scripted((each) => honest.tell(each)),
      ),
      archive,
    )
    await peers.until(async () => (await archive.shows(bob))[0] === 2)
    const forger = scripted(async (request) => {
      if (request.type === 'digest') return [{ type: 'places', places: [placeOf(log)] }, end()]
      if (request.type !== 'ranges') return [end()]
      const [range] = request.ranges
      const batch = await batchOf(log, { ...range, from: range?.from ?? 0 })
      batch.entries[0] = note(999).bytes
      return [{ type: 'batch', batch }, end()]
    })
    await peers.connect(await peers.hostile(mallory, forger), archive)
    await peers.clock.advance(100)
    // The author is not to blame: with the peaks before it, this is nobody's log.
    expect(peers.faultsOf(mallory)).toEqual(['bad_log'])
    expect(await archive.bars(bob)).toBe(false)
    expect(await archive.shows(bob)).toEqual([2])
  })

  it('never answers', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    for (const seed of [50, 51, 52, 53, 54, 55]) {
      const mute = await peers.hostile(identityOf(seed), ({ ended }) => aborted(ended))
      await peers.connect(mute, archive)
    }
    const honest = await peers.peer(dora)
    await honest.write(3)
    await peers.connect(honest, archive)
    await peers.until(async () => (await archive.shows(dora))[0] === 3, 25_000)
    expect(peers.hub.faults).toEqual([])
  })

  it('sends next to nothing, and so keeps the others waiting no longer each time', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const honest = await peers.peer(dora, { publish: false })
    await peers.connect(honest, archive)
    const log = logOf(bob, 200)
    const asked: number[] = []
    const dribbling = scripted(async function* (request) {
      if (request.type === 'digest') {
        asked.push(peers.clock.elapsed())
        yield { type: 'places', places: [placeOf(log)] } as SyncAnswer
      } else if (request.type === 'ranges') {
        const [{ from } = { from: 0 }] = request.ranges
        for (let at = from; at < 200; at++) {
          await peers.clock.sleep(9_000, never)
          yield { type: 'batch', batch: await batchOf(log, { from: at, to: at + 1 }) } as SyncAnswer
        }
      }
      yield end()
    })
    await peers.connect(await peers.hostile(mallory, dribbling), archive)
    // Others get on meanwhile.
    for (let n = 0; n < 20; n++) {
      await honest.write(1)
      await peers.clock.advance(45_000)
    }
    expect(asked.length).toBeLessThan(6)
    const here = await archive.feeds.tables.feeds.get(placeOf(log))
    expect(here?.size).toBeGreaterThan(6)
    expect((await archive.shows(dora))[0]).toBeGreaterThan(15)
  })

  it('is always busy', async () => {
    const { peers, archive } = await under(() => [end('busy')])
    await peers.clock.advance(60_000)
    expect(peers.hub.faults).toEqual([])
    await stillLearns(peers, archive)
  })

  it('has more logs than are taken of one author', async () => {
    const epochs = Array.from({ length: 100 }, (_, n) => Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 1))
    const logs = epochs.map((epoch) => new ExampleLog(mallory, epoch).append(note(1)))
    const teller = new LogTeller(...logs, logOf(bob, 4))
    const { peers, archive } = await under((request) => teller.tell(request))
    await peers.clock.advance(60_000)
    expect((await archive.shows(mallory)).length).toBe(64)
    expect(await archive.shows(bob)).toEqual([4])
    expect(peers.hub.faults).toEqual([])
  })

  it('has entries of a version that is not known yet', async () => {
    const strange = new ExampleLog(bob).append(...notes(2), newer(), note(9))
    const teller = new LogTeller(strange, logOf(carol, 3))
    const { peers, archive } = await under((request) => teller.tell(request))
    await peers.clock.advance(60_000)
    expect(await archive.shows(bob)).toEqual([])
    expect(await archive.shows(carol)).toEqual([3])
    expect(peers.hub.faults).toEqual([])
    // Nor is it asked for in every round.
    const asked = teller.asked.flatMap((each) => (each.type === 'ranges' ? each.ranges : []))
    expect(asked).toHaveLength(2)
  })

  it('shows an old head again', async () => {
    const log = logOf(bob, 5)
    const old = new LogTeller(logOf(bob, 2))
    const { peers, archive } = await under((request) => old.tell(request))
    await peers.clock.advance(100)
    const newer = new LogTeller(log)
    await peers.connect(
      await peers.hostile(
        carol,
        scripted((each) => newer.tell(each)),
      ),
      archive,
    )
    await peers.until(async () => (await archive.shows(bob))[0] === 5)
    await peers.clock.advance(120_000)
    expect(await archive.shows(bob)).toEqual([5])
    expect(await archive.bars(bob)).toBe(false)
    expect(peers.hub.faults).toEqual([])
  })
})

describe('the topic', () => {
  async function published(by: Identity, message: Uint8Array) {
    const { peers, archive } = await under(() => [end()])
    const network = by === mallory ? peers.hub.running(mallory.peerId) : undefined
    await network?.publish(topics.log, message)
    await peers.clock.advance(100)
    return { archive, faults: peers.faultsOf(mallory) }
  }

  it.each([
    ['what is no message', 'malformed', async () => filled(0xff, 100)],
    [
      'entries of another author',
      'not_by_author',
      async () =>
        encodeLogMessage({ type: 'batch', batch: await batchOf(logOf(bob, 3), { from: 0 }) }),
    ],
    [
      'a head that is not signed',
      'bad_signature',
      async () => {
        const batch = await batchOf(logOf(mallory, 3), { from: 0 })
        const signature = filled(1, 64)
        return encodeLogMessage({
          type: 'batch',
          batch: { ...batch, head: { ...batch.head, signature } },
        })
      },
    ],
    [
      'entries that are not under its head',
      'bad_log',
      async () => {
        const batch = await batchOf(logOf(mallory, 3), { from: 0 })
        batch.entries[0] = note(77).bytes
        return encodeLogMessage({ type: 'batch', batch })
      },
    ],
  ])('takes no message with %s', async (_what, code, make) => {
    const { archive, faults } = await published(mallory, await make())
    expect(faults).toEqual([code])
    expect(await archive.heads()).toEqual([])
  })
})

describe('a peer that was restarted', () => {
  it('is not told wrong things about its own log', async () => {
    const peers = new LogPeers()
    const peer = await peers.peer(alice)
    await peer.write(3)
    await peer.stop()
    const again = await peers.peer(alice, { backend: peer.backend })
    const forged = { ...logOf(alice, 9).head(), signature: filled(3, 64) }
    const liar = scripted(({ type }) =>
      type === 'authors' ? [{ type: 'heads', heads: [forged] }, end()] : [end()],
    )
    await peers.connect(await peers.hostile(mallory, liar), again)
    await peers.clock.advance(400)
    expect(again.log.isHeld).toBe(true)
    expect(peers.faultsOf(mallory)).toEqual(['bad_signature'])
    // The same again and again, each to be checked.
    const head = logOf(alice, 3).head()
    const repeating = scripted(({ type }) =>
      type === 'authors' ? [{ type: 'heads', heads: [head, head] }, end()] : [end()],
    )
    await peers.connect(await peers.hostile(dora, repeating), again)
    await peers.clock.advance(400)
    expect(again.log.isHeld).toBe(true)
    expect(peers.faultsOf(dora)).toEqual(['not_asked'])
    const busy = scripted(() => [end('busy')])
    await peers.connect(await peers.hostile(carol, busy), again)
    await peers.clock.advance(1_000)
    // Who has no time has not said that it knows nothing.
    expect(again.log.isHeld).toBe(true)
    const honest = await peers.peer(bob)
    await peers.connect(honest, again)
    await peers.clock.advance(2_500)
    expect(again.log.isHeld).toBe(false)
    expect(await again.shows(alice)).toEqual([3])
  })
})

const never = new AbortController().signal

/** As this version would have written it, but for the version. */
function newer(): SealedEntry {
  const bytes = encodeDagCbor({ v: 2, at: 1, kind: 'note', body: { n: 1 } })
  return { entry: note(1).entry, bytes, cid: entryCid(bytes) }
}
