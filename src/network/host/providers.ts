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

interface Search {
  signal: AbortSignal
  /** Whether the region is asked as well. */
  wide: boolean
}

/**
 * Who provides something: told to those closest to its key, and to others in the region around it;
 * asked of the same. Any of them may lie, and the closest may all be one's who wants a model for itself.
 */
export class Providers {
  readonly #components: ProvidersComponents
  /** Key → when others in its region were told, or are to be at first. */
  readonly #toldAt = new LruMap<string, number>(limits.keysMax)
  /** Key → when more than those on the way were asked. */
  readonly #askedAt = new LruMap<string, number>(limits.keysMax)

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
    const name = cid.toString()
    // A network that has just begun has enough to do, and records are kept for days.
    if (this.#toldAt.get(name) === undefined) {
      const { regionEveryMs, regionFirstMs } = limits
      this.#toldAt.set(name, this.#components.clock.elapsed() - regionEveryMs + regionFirstMs)
    }
    if (this.#isDue(this.#toldAt, cid, limits.regionEveryMs)) {
      told += await this.#tellRegion(cid, signal)
    }
    return told
  }

  /** Each once, as they come; the caller looks after the time. */
  async *find(cid: CID, { signal, wide }: Search): AsyncGenerator<PeerHint> {
    const hints = new Hints(this.#components.random)
    this.#search(cid, { signal, wide }, hints).then(
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

  async #search(cid: CID, { signal, wide }: Search, hints: Hints): Promise<void> {
    const { clock } = this.#components
    if (wide || this.#isDue(this.#askedAt, cid, limits.askEveryMs)) {
      const plain = this.#askOnTheWay(cid, signal, hints, limits.hintsOnTheWayMax)
      // One that lies ends it at once, one that says nothing draws it out.
      await Promise.race([plain, clock.sleep(limits.regionAfterMs, signal)])
      const keys = [cid.multihash.bytes, ...(wide ? this.#keys(cid) : [])]
      await Promise.all([plain, this.#askAround(cid, keys, signal, hints)])
    } else await this.#askOnTheWay(cid, signal, hints, limits.hintsMax)
    hints.addRest()
  }

  async #askOnTheWay(cid: CID, signal: AbortSignal, hints: Hints, max: number): Promise<void> {
    try {
      for await (const event of this.#components.kad.findProviders(cid, { signal })) {
        if (event.name === 'PROVIDER') hints.add('on the way', event.from, event.providers)
        if (hints.size >= max) return
      }
    } catch {
      // Others may still be asked.
      signal.throwIfAborted()
    }
  }

  async #askAround(cid: CID, keys: Uint8Array[], signal: AbortSignal, hints: Hints) {
    const { inside } = this.#components
    const asked = new Set<string>()
    const asking: Promise<void>[] = []
    const ask = async (peer: PeerId, part: string) => {
      hints.add(part, peer, await inside.providersAt(peer, cid, signal).catch(() => []))
    }
    await this.#each(keys, signal, (peer, part) => {
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

  /** Whether it was not done for so long; the next time is counted from now then. */
  #isDue(times: LruMap<string, number>, cid: CID, everyMs: number): boolean {
    const name = cid.toString()
    const now = this.#components.clock.elapsed()
    const isDue = now - (times.get(name) ?? Number.NEGATIVE_INFINITY) >= everyMs
    if (isDue) times.set(name, now)
    return isDue
  }
}
