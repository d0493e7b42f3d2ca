import { describe, expect, it } from 'vitest'
import { readHead } from '../../../src/wire/head.ts'
import { identityOf, LogPeers } from './peers-stage.ts'

const [alice, bob, carol, dora] = [identityOf(1), identityOf(2), identityOf(3), identityOf(4)]
const HOUR_MS = 3_600_000

describe('logs of peers whose clocks are an hour off', () => {
  it('are taken by archives and followers, and their heads count by size', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const early = await peers.peer(bob, { serves: true, skewMs: -HOUR_MS })
    const late = await peers.peer(carol, { serves: true, skewMs: HOUR_MS })
    const follower = await peers.peer(dora, { follow: true, skewMs: HOUR_MS })
    for (const each of [early, late, follower]) await peers.connect(each, archive)
    for (const each of [early, late]) await peers.connect(follower, each)
    for (let round = 0; round < 3; round++) {
      await early.write(2)
      await late.write(2)
      await peers.clock.advance(30_000)
    }
    for (const viewer of [archive, follower]) {
      expect([await viewer.shows(bob), await viewer.shows(carol)]).toEqual([[6], [6]])
    }
    expect(peers.hub.faults).toEqual([])
  })

  it('go on when the clock is set right', async () => {
    const peers = new LogPeers()
    const archive = await peers.peer(alice, { archive: true })
    const late = await peers.peer(bob, { skewMs: HOUR_MS })
    await peers.connect(late, archive)
    await late.write(3)
    await peers.clock.advance(1_000)
    const head = async () => {
      const signed = await archive.feeds.head(late.log.feed)
      return readHead(signed ?? { payload: new Uint8Array(), signature: new Uint8Array() })
    }
    const before = await head()
    await late.stop()
    const right = await peers.peer(bob, { backend: late.backend })
    await peers.connect(right, archive)
    await peers.clock.advance(5_000)
    await right.write(1)
    await peers.clock.advance(1_000)
    const after = await head()
    expect([before.size, after.size]).toEqual([3, 4])
    expect(after.at).toBeLessThan(before.at)
    expect(await archive.shows(bob)).toEqual([4])
    expect(await archive.bars(bob)).toBe(false)
    expect(peers.hub.faults).toEqual([])
  })
})
