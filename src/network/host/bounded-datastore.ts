import type { Libp2pInit } from 'libp2p'
import { PeerError } from '../../base/errors.ts'
import { storeLimits } from './limits.ts'
import { ProviderShares } from './provider-shares.ts'

type Datastore = NonNullable<Libp2pInit['datastore']>
type Key = Parameters<Datastore['put']>[0]
type Pair = { key: Key; value: Uint8Array }
type Query = Parameters<Datastore['query']>[0]
type KeyQuery = Parameters<Datastore['queryKeys']>[0]
type Many<T> = Iterable<T> | AsyncIterable<T>

const PROVIDERS = '/dht/provider/'

/** Named as libp2p expects it: it looks at the name to tell "unknown" from "broken". */
class NotFoundError extends PeerError {
  constructor(key: string) {
    super('not_found', `Nothing is kept under ${key}.`)
    this.name = 'NotFoundError'
  }
}

/**
 * What libp2p remembers of others: peers, provider records, DHT records. Any of them can be told by
 * a stranger, so each kind has a bound, and beyond it the entry that was used least recently goes.
 */
export class BoundedDatastore implements Datastore {
  readonly #kinds = [
    { prefix: '/peers/', max: storeLimits.peersMax, entries: new Map<string, Pair>() },
    { prefix: PROVIDERS, max: storeLimits.providersMax, entries: new Map<string, Pair>() },
    { prefix: '/dht/record/', max: storeLimits.recordsMax, entries: new Map<string, Pair>() },
  ]
  readonly #pinned: (name: string) => boolean
  readonly #shares: ProviderShares

  /**
   * @param pinned what is never dropped: this peer's own entries
   * @param netOf in which part of the internet a peer is that says something now
   */
  constructor(pinned: (name: string) => boolean, netOf: (peerId: string) => string) {
    this.#pinned = pinned
    this.#shares = new ProviderShares(netOf)
  }

  get size(): number {
    return this.#kinds.reduce((sum, kind) => sum + kind.entries.size, 0)
  }

  put(key: Key, value: Uint8Array): Key {
    const name = key.toString()
    const kind = this.#kindOf(name)
    if (value.byteLength > storeLimits.valueBytesMax) {
      throw new PeerError('too_large', `A value of ${value.byteLength} bytes is not kept.`)
    }
    kind.entries.delete(name)
    kind.entries.set(name, { key, value })
    if (kind.prefix === PROVIDERS && !this.#pinned(name)) {
      const goes = this.#shares.put(name)
      if (goes !== undefined) kind.entries.delete(goes)
    }
    for (const oldest of kind.entries.keys()) {
      if (kind.entries.size <= kind.max) break
      if (!this.#pinned(oldest)) this.#delete(oldest)
    }
    return key
  }

  get(key: Key): Uint8Array {
    const name = key.toString()
    const { entries } = this.#kindOf(name)
    const pair = entries.get(name)
    if (pair === undefined) throw new NotFoundError(name)
    entries.delete(name)
    entries.set(name, pair)
    return pair.value
  }

  has(key: Key): boolean {
    return this.#kindOf(key.toString()).entries.has(key.toString())
  }

  delete(key: Key): void {
    this.#delete(key.toString())
  }

  async *putMany(source: Many<Pair>): AsyncGenerator<Key> {
    for await (const { key, value } of source) yield this.put(key, value)
  }

  async *getMany(source: Many<Key>): AsyncGenerator<Pair> {
    for await (const key of source) yield { key, value: this.get(key) }
  }

  async *deleteMany(source: Many<Key>): AsyncGenerator<Key> {
    for await (const key of source) {
      this.delete(key)
      yield key
    }
  }

  batch() {
    const steps: (() => void)[] = []
    return {
      put: (key: Key, value: Uint8Array) => void steps.push(() => this.put(key, value)),
      delete: (key: Key) => void steps.push(() => this.delete(key)),
      commit: () => {
        for (const step of steps.splice(0)) step()
      },
    }
  }

  *query(query: Query): Generator<Pair> {
    let found = this.#under(query.prefix).filter((pair) =>
      (query.filters ?? []).every((keep) => keep(pair)),
    )
    for (const order of query.orders ?? []) found = found.toSorted(order)
    yield* cut(found, query)
  }

  *queryKeys(query: KeyQuery): Generator<Key> {
    let found = this.#under(query.prefix)
      .map((pair) => pair.key)
      .filter((key) => (query.filters ?? []).every((keep) => keep(key)))
    for (const order of query.orders ?? []) found = found.toSorted(order)
    yield* cut(found, query)
  }

  #under(prefix = ''): Pair[] {
    const found: Pair[] = []
    for (const kind of this.#kinds) {
      if (!prefix.startsWith(kind.prefix) && !kind.prefix.startsWith(prefix)) continue
      for (const [name, pair] of kind.entries) if (name.startsWith(prefix)) found.push(pair)
    }
    return found
  }

  #delete(name: string): void {
    this.#kindOf(name).entries.delete(name)
    this.#shares.delete(name)
  }

  #kindOf(name: string) {
    const kind = this.#kinds.find(({ prefix }) => name.startsWith(prefix))
    if (kind === undefined) throw new PeerError('unknown_key', `There is no place for ${name}.`)
    return kind
  }
}

function cut<T>(found: T[], { offset = 0, limit }: { offset?: number; limit?: number }): T[] {
  return found.slice(offset, limit === undefined ? undefined : offset + limit)
}
