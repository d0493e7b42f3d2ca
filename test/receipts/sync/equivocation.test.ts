import { describe, expect, it } from 'vitest'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { protocols, topics } from '../../../src/wire/protocols.ts'
import { encodeLogMessage, encodeSyncRequest } from '../../../src/wire/sync.ts'
import { ExampleLog } from '../../wire/log-examples.ts'
import { note } from '../feeds/stage.ts'
import { alice, bob, carol, dora, logOf, mallory, under } from './attack-stage.ts'
import { identityOf, type LogPeer, LogPeers } from './peers-stage.ts'
import { batchOf, end, LogTeller, scripted } from './scripted.ts'

const never = new AbortController().signal

describe('an author that tells two stories is barred everywhere', () => {
  /** Two archives that each heard one of them, and somebody who hears of none. */
  async function told(...stories: [ExampleLog, ExampleLog]) {
    const peers = new LogPeers()
    const archives = [
      await peers.peer(alice, { archive: true }),
      await peers.peer(carol, { archive: true }),
    ] as const
    for (const [at, archive] of archives.entries()) {
      const teller = new LogTeller(stories[at] as ExampleLog)
      const liar = await peers.hostile(
        identityOf(60 + at),
        scripted((request) => teller.tell(request)),
      )
      await peers.connect(liar, archive)
      await peers.until(async () => (await archive.heads()).length === 1)
      await liar.stop()
    }
    const other = await peers.peer(dora)
    await peers.connect(other, archives[0])
    await peers.clock.advance(1_000)
    await peers.connect(archives[0], archives[1])
    await peers.clock.advance(2_000)
    return { peers, all: [...archives, other] }
  }

  it.each([
    ['of the same length', logOf(mallory, 5), logOf(mallory, 5, 2)],
    ['of other lengths', logOf(mallory, 5), logOf(mallory, 9, 2)],
    ['that part at the beginning', logOf(mallory, 40), logOf(mallory, 7, 0)],
    ['that part at the end', logOf(mallory, 40), logOf(mallory, 41, 39)],
  ])('%s', async (_how, ...stories) => {
    const { peers, all } = await told(...stories)
    for (const each of all) expect(await each.bars(mallory)).toBe(true)
    expect(peers.hub.faults).toEqual([])
    // Their digests are the same again.
    const [one, two] = all
    expect(one && (await one.heads())).toEqual(two && (await two.heads()))
  })

  it('when it sets its log back', async () => {
    const { peers, archive } = await under((request) => teller.tell(request))
    const teller = new LogTeller(logOf(mallory, 8))
    await peers.until(async () => (await archive.shows(mallory))[0] === 8)
    teller.logs[0] = logOf(mallory, 5, 3)
    await peers.clock.advance(40_000)
    expect(await archive.bars(mallory)).toBe(true)
    expect(await archive.shows(mallory)).toEqual([8])
  })

  it('when it publishes another one than it showed', async () => {
    const { peers, archive, hostile } = await under((request) => teller.tell(request))
    const teller = new LogTeller(logOf(mallory, 5))
    await peers.until(async () => (await archive.shows(mallory))[0] === 5)
    const other = logOf(mallory, 5, 2)
    const batch = await batchOf(other, { from: 4 })
    await hostile.publish(topics.log, encodeLogMessage({ type: 'batch', batch }))
    await peers.clock.advance(100)
    expect(await archive.bars(mallory)).toBe(true)
  })

  it('when a follower sees both', async () => {
    const peers = new LogPeers()
    const coordinator = await peers.peer(alice, { follow: true })
    const teller = new LogTeller(logOf(mallory, 5))
    const liar = await peers.hostile(
      mallory,
      scripted((request) => teller.tell(request)),
      { models: 1 },
    )
    await peers.connect(liar, coordinator)
    await peers.until(async () => (await coordinator.shows(mallory))[0] === 5)
    teller.logs[0] = logOf(mallory, 9, 2)
    await peers.until(() => coordinator.bars(mallory))
  })
})

describe('nobody is barred', () => {
  /** By both ways. */
  async function told(claim: (hearer: LogPeer) => Parameters<typeof headsEquivocation>) {
    const { peers, archive, hostile } = await under(() => [end()])
    const proof = headsEquivocation(...claim(archive))
    const opening = hostile.open(alice.peerId, protocols.sync, { signal: never })
    await peers.clock.advance(10)
    ;(await opening).write(encodeSyncRequest({ type: 'equivocation', ...proof }))
    await hostile.publish(topics.log, encodeLogMessage({ type: 'equivocation', ...proof }))
    await peers.clock.advance(100)
    return { peers, archive }
  }

  it('by a claim that proves nothing', async () => {
    const log = logOf(bob, 5)
    const { peers, archive } = await told(() => [log.head(3), log.head(5)])
    expect(await archive.bars(bob)).toBe(false)
    expect(peers.faultsOf(mallory)).toEqual(['no_equivocation', 'no_equivocation'])
  })

  it('by a claim about the one who hears it', async () => {
    const { peers, archive } = await told(({ log: { feed } }) => [
      new ExampleLog(alice, feed.epoch).append(note(1)).head(),
      new ExampleLog(alice, feed.epoch).append(note(2)).head(),
    ])
    expect(await archive.bars(alice)).toBe(false)
    expect(peers.faultsOf(mallory)).toEqual([])
  })
})
