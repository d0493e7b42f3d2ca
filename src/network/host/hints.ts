import type { PeerId, PeerInfo } from '@libp2p/interface'
import { Channel } from '../../base/channel.ts'
import type { Random } from '../../base/random.ts'
import { netOf } from '../net-of.ts'
import type { PeerHint } from '../network.ts'
import { dhtLimits as limits } from './limits.ts'

/**
 * Gathers hints from many who may lie. Ids are made up to be close to one place of the DHT, so each
 * part of it that is asked has as much to say as any other, and so has each who is asked within one.
 * What is first is passed on at once, and the rest when all have answered.
 */
export class Hints {
  readonly all = new Channel<PeerHint>(limits.hintsMax)
  readonly #random: Random
  readonly #seen = new Set<string>()
  readonly #sources = new Set<string>()
  /** Part → what is left of what each of its sources said. */
  readonly #parts = new Map<string, PeerHint[][]>()

  constructor(random: Random) {
    this.#random = random
  }

  get size(): number {
    return this.#seen.size
  }

  add(part: string, source: PeerId, said: readonly PeerInfo[]): void {
    const id = source.toString()
    if (said.length === 0 || this.#sources.has(id)) return
    this.#sources.add(id)
    const hints = spread(said.map(hintOf), limits.hintsPerSource, this.#random)
    const others = this.#parts.get(part) ?? []
    this.#parts.set(part, [...others, hints])
    if (others.length < limits.hintsAtOnce) this.#take(hints.shift())
  }

  /** One of each part in turn, and within each of those one of each source. */
  addRest(): void {
    const parts = [...this.#parts.values()].map(inTurn)
    for (const hint of inTurn(parts)) this.#take(hint)
  }

  end(error?: unknown): void {
    this.all.close(error)
  }

  #take(hint: PeerHint | undefined): void {
    if (hint === undefined || this.#seen.has(hint.peerId) || this.size >= limits.hintsMax) return
    this.#seen.add(hint.peerId)
    this.all.push(hint)
  }
}

function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map(({ length }) => length))
  return Array.from({ length: longest }, (_, turn) =>
    lists.flatMap((list) => list.slice(turn, turn + 1)),
  ).flat()
}

/** So many of them by chance, and from each net one before any has two. */
export function spread(hints: readonly PeerHint[], count: number, random: Random): PeerHint[] {
  const shuffled = hints
    .map((hint) => ({ hint, order: random.below(2 ** 32) }))
    .sort((a, b) => a.order - b.order)
  const nets = Map.groupBy(shuffled, ({ hint }) => netOf(hint.addresses[0] ?? '') ?? '')
  return inTurn([...nets.values()])
    .slice(0, count)
    .map(({ hint }) => hint)
}

export function hintOf({ id, multiaddrs }: PeerInfo): PeerHint {
  const addresses = new Set(
    multiaddrs.map((address) => address.toString().replace(/\/p2p\/[^/]+$/, '')),
  )
  return { peerId: id.toString(), addresses: [...addresses].slice(0, limits.addressesMax) }
}
