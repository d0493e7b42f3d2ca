import { onTestFinished } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import type { DirectoryChange, DirectoryEntry } from '../../../src/network/discovery/directory.ts'
import { type MemoryHub, memoryHub } from '../../../src/network/memory/memory-hub.ts'
import type { MemoryNetwork } from '../../../src/network/memory/memory-network.ts'
import type { StreamHandler } from '../../../src/network/network.ts'
import { HeldEntries } from '../../../src/receipts/held.ts'
import { LiveReceipts } from '../../../src/receipts/live.ts'
import { ReceiptLookup } from '../../../src/receipts/lookup.ts'
import { RequestIndex } from '../../../src/receipts/requests.ts'
import { Replication, type ReplicationOptions } from '../../../src/receipts/sync/replication.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { readHead } from '../../../src/wire/head.ts'
import { protocols } from '../../../src/wire/protocols.ts'
import { FakeClock, skewed } from '../../base/fake-clock.ts'
import { filled, network as networkName } from '../../wire/log-examples.ts'
import { note, stage, verify } from '../feeds/stage.ts'

const never = new AbortController().signal

export const identityOf = (seed: number): Identity => identityFromSeed(filled(seed))

interface Listed {
  roles?: string[]
  models?: number
}

/** The peers that are there, as any of them would have found. */
class KnownPeers {
  readonly entries = new Map<string, DirectoryEntry>()
  readonly listeners = new Set<(change: DirectoryChange) => void>()

  add(network: MemoryNetwork, { roles = [], models = 0 }: Listed): void {
    const { peerId } = network
    const addresses = network.status().addrs
    const advert = { roles, addresses, models: Array.from({ length: models }, () => ({})) }
    const entry = {
      peerId,
      advert,
      status: undefined,
      connected: true,
    } as unknown as DirectoryEntry
    const previous = this.entries.get(peerId)
    this.entries.set(peerId, entry)
    for (const listener of this.listeners) listener({ peerId, entry, previous })
  }

  /** As the directory of one of them. */
  of(self: string) {
    const others = () => [...this.entries.values()].filter(({ peerId }) => peerId !== self)
    return {
      directory: {
        all: others,
        get: (peerId: string) => (peerId === self ? undefined : this.entries.get(peerId)),
        byModelId: () => [],
        byModelName: () => [],
        modelNames: () => new Map(),
      },
      onChange: (listener: (change: DirectoryChange) => void) => {
        this.listeners.add(listener)
        return () => this.listeners.delete(listener)
      },
    }
  }
}

/** A disk with the same on it. */
export async function copied(backend: MemoryBackend): Promise<MemoryBackend> {
  const copy = new MemoryBackend()
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(255), reverse: false, limit: 1e9 }
  for await (const [key, value] of backend.range(all)) {
    await copy.write([{ type: 'put', key, value }])
  }
  return copy
}

export interface PeerOptions extends Partial<ReplicationOptions> {
  /** Where another one stood: this is that peer after a restart. */
  backend?: MemoryBackend
  /** No two starts draw the same epochs. */
  draw?: number
  /** Has a model, so that its log is followed. */
  serves?: boolean
  /** How far its wall clock is off. */
  skewMs?: number
  /** Its disk does not say before that which logs are on it. */
  reading?: Promise<void>
}

/** One peer, as far as logs go. */
export type LogPeer = Awaited<ReturnType<LogPeers['peer']>>

/** Peers with logs, on a network in memory. */
export class LogPeers {
  readonly clock = new FakeClock()
  readonly hub: MemoryHub
  readonly #known = new KnownPeers()
  readonly #ends: (() => Promise<void>)[] = []
  #draws = 1000

  /** `latencyMs`: one way, between any two. */
  constructor(latencyMs = 0) {
    this.hub = memoryHub({ clock: this.clock, latencyMs })
    onTestFinished(() => this.close())
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end()
  }

  async peer(who: Identity, options: PeerOptions = {}) {
    const { backend = new MemoryBackend(), draw = ++this.#draws, serves = false } = options
    const { reading, skewMs = 0, ...rest } = options
    const clock = skewed(this.clock, skewMs)
    const logs = await stage({ who, clock, backend, seed: draw })
    const { feeds, own: log, store } = logs
    if (reading !== undefined) {
      const { feeds: read } = feeds
      feeds.feeds = async function* (...range) {
        await reading
        yield* read.apply(feeds, range)
      }
    }
    const live = new LiveReceipts({ clock })
    const held = new HeldEntries({ store, clock })
    const requests = new RequestIndex({ store })
    const receipts = new ReceiptLookup(
      { feeds, live, held, requests, verify },
      { network: networkName },
    )
    const network = this.hub.network(who.peerId)
    const replication = new Replication(
      {
        ...{ network, discovery: this.#known.of(who.peerId), self: who.peerId },
        ...{ feeds, log, live, held, receipts, store, verify },
        verifyLater: async (...args) => verify(...args),
        ...{ clock, random: seededRandom(draw), logger: silentLogger, metrics: noMetrics },
      },
      { network: networkName, archive: false, follow: false, publish: true, ...rest },
    )
    await network.start({ signal: never })
    await replication.start({ signal: never })
    const roles = rest.archive ? ['archive'] : []
    this.#known.add(network, { roles, models: serves ? 1 : 0 })
    const stop = async () => {
      await replication.stop()
      await network.stop()
      await store.close()
    }
    this.#ends.push(stop)
    let written = 0
    return {
      ...{ who, peerId: who.peerId, backend, network, feeds, log, live, store, replication, stop },
      receipts: replication.receipts,
      held,

      /** So many entries more, in its own log. */
      async write(count = 1, { publish = true } = {}): Promise<SealedEntry[]> {
        const entries = Array.from({ length: count }, () => note(draw * 100_000 + written++))
        for (let at = 0; at < count; at += 16) {
          await log.append(entries.slice(at, at + 16), { publish })
        }
        return entries
      },

      /** How many entries it shows of each log of this author. */
      async shows({ publicKey: author }: Identity): Promise<number[]> {
        const sizes: number[] = []
        for await (const { head } of feeds.feeds({ author })) sizes.push(readHead(head).size)
        return sizes
      },

      /** All that it shows of authors that it believes, to compare. */
      async heads(): Promise<string[]> {
        const heads: string[] = []
        for await (const { feed, head } of feeds.feeds()) {
          if ((await feeds.tables.barred.get(feed.author)) !== undefined) continue
          heads.push(Buffer.from(head.payload).toString('hex'))
        }
        return heads
      },

      async bars({ publicKey }: Identity): Promise<boolean> {
        return (await feeds.tables.barred.get(publicKey)) !== undefined
      },
    }
  }

  /** One that speaks `sync/1` as the test likes. */
  async hostile(
    who: Identity,
    handler: StreamHandler,
    listed: Listed = {},
  ): Promise<MemoryNetwork> {
    const network = this.hub.network(who.peerId)
    network.handle(protocols.sync, handler, { streamsMax: 64, opensPerSecond: 1_000 })
    await network.start({ signal: never })
    this.#known.add(network, listed)
    return network
  }

  /** No directory has it any more. */
  forget({ peerId }: { peerId: string }): void {
    this.#known.entries.delete(peerId)
  }

  async connect(near: { network: MemoryNetwork } | MemoryNetwork, far: LogPeer): Promise<void> {
    const network = 'network' in near ? near.network : near
    const connecting = network.connect(far.peerId, far.network.status().addrs, { signal: never })
    await this.clock.advance(1 + 2 * this.hub.latencyMs)
    await connecting
  }

  /** Lets time pass until it is so; fails when it is not after `ms`. */
  async until(isSo: () => Promise<boolean> | boolean, ms = 60_000): Promise<void> {
    for (let passed = 0; !(await isSo()); passed += 50) {
      if (passed > ms) throw new Error(`not so after ${ms} ms`)
      await this.clock.advance(50)
    }
  }

  /** What others said of this one. */
  faultsOf({ peerId }: { peerId: string }): string[] {
    return this.hub.faults.filter((fault) => fault.peerId === peerId).map(({ reason }) => reason)
  }
}
