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
  kad: Pick<KadDHT, 'findProviders'>
  inside: Pick<KadInside, 'known' | 'near' | 'closest' | 'keep' | 'providersAt' | 'tell'>
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
  /** Peer and key → when it was told. */
  #toldAt = new LruMap<string, number>(limits.toldMax)
  /** Peer → when it was connected last. */
  readonly #cameAt = new LruMap<string, number>(limits.keysMax)
  /** Where this peer is, as they were told. */
  #places = ''
  /** Key → when those closest to it were looked for. */
  readonly #lookedAt = new LruMap<string, number>(limits.keysMax)
  /** Key → when others in its region were told, or are to be at first. */
  readonly #regionToldAt = new LruMap<string, number>(limits.keysMax)
  /** Key → when more than those on the way were asked. */
  readonly #askedAt = new LruMap<string, number>(limits.keysMax)

  constructor(components: ProvidersComponents) {
    this.#components = components
  }

  /** Resolves to how many know of it now. */
  async provide(cid: CID, signal: AbortSignal): Promise<number> {
    const { inside, self } = this.#components
    const own = self()
    this.#forgetOldPlaces(own.addresses.join())
    await inside.keep(cid, own.id)
    let knowing = await this.#tellClosest(cid, signal)
    const name = cid.toString()
    // A network that has just begun has enough to do, and records are kept for days.
    if (this.#regionToldAt.get(name) === undefined) {
      const { regionEveryMs, regionFirstMs } = limits
      this.#regionToldAt.set(name, this.#components.clock.elapsed() - regionEveryMs + regionFirstMs)
    }
    if (this.#isDue(this.#regionToldAt, cid, limits.regionEveryMs)) {
      knowing += await this.#tellRegion(cid, signal)
    }
    return knowing
  }

  /** A new connection: that peer may have been started anew, and knows nothing then. */
  came(peerId: string): void {
    this.#cameAt.set(peerId, this.#components.clock.elapsed())
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

  /** They are looked for only where somebody may be among them who was not told. */
  async #tellClosest(cid: CID, signal: AbortSignal): Promise<number> {
    const { inside } = this.#components
    const key = cid.multihash.bytes
    const known = inside.near(key, limits.closest)
    const isKnown = known.length > 0 && known.every((peer) => this.#knows(peer, cid))
    if (isKnown || !this.#isTimeToLook(known.length, cid)) {
      return await this.#tellAll(known, cid, signal)
    }
    const found: PeerId[] = []
    for await (const peer of inside.closest(key, signal)) found.push(peer)
    return await this.#tellAll(found, cid, signal)
  }

  /** In a network whose peers are all known, one look-up is as good as one for each key. */
  #isTimeToLook(known: number, cid: CID): boolean {
    if (known === 0) return true
    const name = this.#bits() ? cid.toString() : 'any'
    const now = this.#components.clock.elapsed()
    const before = this.#lookedAt.get(name) ?? Number.NEGATIVE_INFINITY
    if (now - before < limits.lookEveryMs) return false
    this.#lookedAt.set(name, now)
    return true
  }

  async #tellRegion(cid: CID, signal: AbortSignal): Promise<number> {
    const bits = this.#bits()
    if (bits === undefined) return 0
    const { inside } = this.#components
    if (bits === 0) {
      // The region is all of a network whose peers are known.
      return await this.#tellAll(inside.near(cid.multihash.bytes, limits.everybody), cid, signal)
    }
    const telling = new Map<string, Promise<boolean>>()
    await this.#each(this.#keys(cid), signal, (peer) => {
      const id = peer.toString()
      if (!telling.has(id)) telling.set(id, this.#tell(peer, cid, signal))
    })
    return (await Promise.all(telling.values())).filter(Boolean).length
  }

  async #tellAll(peers: readonly PeerId[], cid: CID, signal: AbortSignal): Promise<number> {
    const told = await Promise.all(peers.map((peer) => this.#tell(peer, cid, signal)))
    signal.throwIfAborted()
    return told.filter(Boolean).length
  }

  /** Resolves to whether that peer knows of it now. */
  async #tell(peer: PeerId, cid: CID, signal: AbortSignal): Promise<boolean> {
    if (this.#knows(peer, cid)) return true
    const { inside, self, clock } = this.#components
    const isTold = await inside.tell(peer, cid, self(), signal).catch(() => false)
    if (isTold) this.#toldAt.set(`${peer} ${cid}`, clock.elapsed())
    return isTold
  }

  /** Whether it was told lately, and has not come anew since. */
  #knows(peer: PeerId, cid: CID): boolean {
    const toldAt = this.#toldAt.get(`${peer} ${cid}`) ?? Number.NEGATIVE_INFINITY
    if (toldAt < (this.#cameAt.get(peer.toString()) ?? Number.NEGATIVE_INFINITY)) return false
    return this.#components.clock.elapsed() - toldAt < limits.tellAgainMs
  }

  #forgetOldPlaces(places: string): void {
    if (places === this.#places) return
    this.#places = places
    this.#toldAt = new LruMap(limits.toldMax)
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
    const bits = this.#bits()
    const { random } = this.#components
    return bits === undefined ? [] : keysAround(placeOf(cid.multihash.bytes), bits, random)
  }

  #bits(): number | undefined {
    const { inside, self } = this.#components
    const own = placeOf(self().id.toMultihash().bytes)
    return regionBits(own, inside.known(own, limits.closest))
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
