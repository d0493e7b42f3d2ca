import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../../src/identity/identity.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { rounds } from '../../campaign.ts'
import { copied, identityOf, type LogPeer, LogPeers, type PeerOptions } from './peers-stage.ts'

// Two archives, two providers and one that follows those write, are cut off, end without a word and come
// back, one of them perhaps as it was before. Then all is well again, and all know the same.

const members: PeerOptions[] = [
  { archive: true },
  { archive: true },
  { serves: true },
  { serves: true },
  { follow: true },
]
const archives = [0, 1]
const providers = [2, 3]
const follower = 4

const latency = fc.constantFrom(0, 20, 400)
const index = fc.nat(members.length - 1)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ write: index, count: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ hide: index }) },
  { weight: 3, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 2, arbitrary: fc.record({ cut: index, from: index }) },
  { weight: 1, arbitrary: fc.record({ heal: fc.constant(true) }) },
  { weight: 2, arbitrary: fc.record({ restart: index }) },
  { weight: 1, arbitrary: fc.record({ restore: fc.constantFrom(...providers) }) },
)

/** The peers, and what was acknowledged of each. */
class Model {
  readonly peers: LogPeers
  readonly all: LogPeer[] = []
  readonly acknowledged: SealedEntry[] = []

  constructor(latencyMs: number) {
    this.peers = new LogPeers(latencyMs)
  }

  async open(): Promise<void> {
    for (const [at, options] of members.entries()) {
      this.all.push(await this.peers.peer(this.#who(at), options))
    }
    await this.#connect()
  }

  async do(todo: Record<string, unknown>): Promise<void> {
    const { peers } = this
    if (typeof todo.write === 'number') await this.#write(todo.write, Number(todo.count))
    if (typeof todo.hide === 'number') await this.#at(todo.hide).write(1, { publish: false })
    if (typeof todo.pass === 'number') await peers.clock.advance(todo.pass)
    if (typeof todo.cut === 'number' && todo.cut !== todo.from) {
      peers.hub.cut(this.#at(todo.cut).peerId, this.#at(Number(todo.from)).peerId)
    }
    if (todo.heal !== undefined) await this.heal()
    if (typeof todo.restart === 'number') await this.#restart(todo.restart)
    if (typeof todo.restore === 'number') await this.#restore(todo.restore)
  }

  async heal(): Promise<void> {
    this.peers.hub.heal()
    // Connections that were silent for long are gone.
    await this.peers.clock.advance(21_000)
    await this.#connect()
    await this.peers.clock.advance(1_000)
  }

  async #write(at: number, count: number): Promise<void> {
    this.acknowledged.push(...(await this.#at(at).write(count)))
  }

  async #restart(at: number, backend = this.#at(at).backend): Promise<void> {
    const before = this.#at(at)
    this.peers.hub.kill(before.peerId)
    await before.stop()
    this.all[at] = await this.peers.peer(this.#who(at), { ...members[at], backend })
    await this.#connect()
    await this.peers.clock.advance(2_000)
  }

  /** What it acknowledged in between is known to the archives, for it was not cut off. */
  async #restore(at: number): Promise<void> {
    await this.heal()
    const old = await copied(this.#at(at).backend)
    await this.#write(at, 3)
    await this.peers.clock.advance(1_000)
    await this.#restart(at, old)
  }

  /** Who cannot be reached is passed over. */
  async #connect(): Promise<void> {
    const { clock, hub } = this.peers
    for (const near of this.all) {
      for (const far of this.all) {
        if (near === far || hub.isSilent(near.peerId, far.peerId)) continue
        if (!near.network.isConnected(far.peerId)) await this.peers.connect(near, far)
      }
    }
    await clock.advance(1)
  }

  #who(at: number): Identity {
    return identityOf(20 + at)
  }

  #at(at: number): LogPeer {
    return this.all[at] as LogPeer
  }
}

describe('archives and followers', () => {
  it('know the same in the end, and all that was acknowledged', async () => {
    await fc.assert(
      fc.asyncProperty(
        latency,
        fc.array(step, { minLength: 4, maxLength: 25 }),
        async (ms, steps) => {
          const model = new Model(ms)
          const { peers, all, acknowledged } = model
          await model.open()
          for (const each of steps) await model.do(each)
          await model.heal()
          await peers.clock.advance(120_000)

          const heads = await Promise.all(archives.map((at) => all[at]?.heads()))
          expect(heads[0]).toEqual(heads[1])
          for (const { cid } of acknowledged) {
            for (const at of archives) {
              expect(await all[at]?.feeds.find('entry', cid.digest)).not.toEqual([])
            }
          }
          for (const [at, { who, log, feeds }] of all.entries()) {
            expect(log.isHeld).toBe(false)
            const viewers = providers.includes(at) ? [...archives, follower] : archives
            for (const viewer of viewers) {
              expect(await all[viewer]?.feeds.head(log.feed)).toEqual(await feeds.head(log.feed))
            }
            for (const viewer of all) expect(await viewer.bars(who)).toBe(false)
          }
          expect(peers.hub.faults).toEqual([])
          await peers.close()
        },
      ),
      { numRuns: rounds(6, 1_000) },
    )
  }, 600_000)
})
