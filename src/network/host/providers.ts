import type { PeerId } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import type { CID } from 'multiformats/cid'
import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import type { PeerHint } from '../network.ts'
import { keysAround, placeOf, regionBits } from './dht-region.ts'
import { Hints } from './hints.ts'
import type { KadInside } from './kad-inside.ts'
import { dhtLimits as limits } from './limits.ts'

export interface ProvidersComponents {
  kad: Pick<KadDHT, 'findProviders' | 'provide'>
  inside: Pick<KadInside, 'known' | 'closest' | 'providersAt' | 'tell'>
  /** This peer, as others can dial it. */
  self(): Parameters<KadInside['tell']>[2]
  clock: Clock
  random: Random
}

/**
 * Who provides something: told to those closest to its key, and to others in the region around it;
 * asked of the same. Any of them may lie, and the closest may all be one's who wants a model for itself.
 */
export class Providers {
  readonly #components: ProvidersComponents
  /** Key → when others in its region were told, or are to be at first. */
  readonly #toldAt = new LruMap<string, number>(limits.providedMax)

  constructor(components: ProvidersComponents) {
    this.#components = components
  }

  /** Resolves to how many were told. */
  async provide(cid: CID, signal: AbortSignal): Promise<number> {
    const { kad } = this.#components
    let told = 0
    for await (const event of kad.provide(cid, { signal })) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') told++
    }
    if (this.#isTime(cid)) told += await this.#tellRegion(cid, signal)
    return told
  }

  /** Each once, as they come; the caller looks after the time. */
  async *find(cid: CID, signal: AbortSignal): AsyncGenerator<PeerHint> {
    const hints = new Hints(this.#components.random)
    this.#search(cid, signal, hints).then(
      () => hints.end(),
      (error: unknown) => hints.end(error),
    )
    const onAbort = () => hints.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      yield* hints.all
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #search(cid: CID, signal: AbortSignal, hints: Hints): Promise<void> {
    const { clock } = this.#components
    const plain = this.#askOnTheWay(cid, signal, hints)
    // One that lies ends it at once, one that says nothing draws it out.
    await Promise.race([plain, clock.sleep(limits.regionAfterMs, signal)])
    await Promise.all([plain, this.#askRegion(cid, signal, hints)])
    hints.addRest()
  }

  async #askOnTheWay(cid: CID, signal: AbortSignal, hints: Hints): Promise<void> {
    try {
      for await (const event of this.#components.kad.findProviders(cid, { signal })) {
        if (event.name === 'PROVIDER') hints.add('on the way', event.from, event.providers)
        if (hints.size >= limits.hintsOnTheWayMax) return
      }
    } catch {
      // The region is asked all the same.
      signal.throwIfAborted()
    }
  }

  async #askRegion(cid: CID, signal: AbortSignal, hints: Hints): Promise<void> {
    const { inside } = this.#components
    const asked = new Set<string>()
    const asking: Promise<void>[] = []
    const ask = async (peer: PeerId, part: string) => {
      hints.add(part, peer, await inside.providersAt(peer, cid, signal).catch(() => []))
    }
    await this.#each([cid.multihash.bytes, ...this.#keys(cid)], signal, (peer, part) => {
      if (asked.has(peer.toString())) return
      asked.add(peer.toString())
      asking.push(ask(peer, part))
    })
    await Promise.all(asking)
  }

  async #tellRegion(cid: CID, signal: AbortSignal): Promise<number> {
    const { inside, self } = this.#components
    const own = self()
    const telling = new Map<string, Promise<boolean>>()
    await this.#each(this.#keys(cid), signal, (peer) => {
      const id = peer.toString()
      if (telling.has(id)) return
      telling.set(
        id,
        inside.tell(peer, cid, own, signal).catch(() => false),
      )
    })
    return (await Promise.all(telling.values())).filter(Boolean).length
  }

  /** Those closest to each of the keys. What goes wrong with one is made up for by the others. */
  async #each(keys: Uint8Array[], signal: AbortSignal, use: (peer: PeerId, part: string) => void) {
    await Promise.all(
      keys.map(async (key, at) => {
        try {
          for await (const peer of this.#components.inside.closest(key, signal))
            use(peer, `part ${at}`)
        } catch {
          signal.throwIfAborted()
        }
      }),
    )
  }

  /** Around the key; none in a network where everybody is close to everything. */
  #keys(cid: CID): Uint8Array[] {
    const { inside, self, random } = this.#components
    const own = placeOf(self().id.toMultihash().bytes)
    const bits = regionBits(own, inside.known(own, limits.closest))
    return bits === undefined ? [] : keysAround(placeOf(cid.multihash.bytes), bits, random)
  }

  /** A network that has just begun has enough to do, and records are kept for days. */
  #isTime(cid: CID): boolean {
    const name = cid.toString()
    const now = this.#components.clock.elapsed()
    const toldAt = this.#toldAt.get(name)
    const first = now - limits.regionEveryMs + limits.regionFirstMs
    const isTime = toldAt !== undefined && now - toldAt >= limits.regionEveryMs
    if (toldAt === undefined || isTime) this.#toldAt.set(name, isTime ? now : first)
    return isTime
  }
}
