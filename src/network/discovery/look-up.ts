import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { BusyError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Metrics } from '../../base/metrics.ts'
import { lookupKey, parseModelId } from '../../wire/model-id.ts'
import type { Network } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
import type { MemoryDirectory } from './memory-directory.ts'

/** A client waits for it. */
const LOOK_UP_MS = 2_000
/** After the first peer that has it: others that are about to answer give a choice. */
const GRACE_MS = 50
/** Anybody can say in the DHT to have anything; each who does costs a connection. */
const HINTS_MAX = 48
/** Hints that name the same peers again and again are not read without end. */
const HINTS_READ_MAX = 256
/** Names come from clients: a typo asks the network once a minute. */
const MISS_MS = 60_000
const MISSES_MAX = 1024
/** Of different names. */
const AT_ONCE_MAX = 16

export interface LookUpComponents {
  network: Pick<Network, 'connected' | 'findProviders'>
  /** This peer's own id. */
  self: string
  directory: MemoryDirectory
  exchange: Pick<AdvertExchange, 'ask'>
  clock: Clock
  metrics: Metrics
}

/** Searches the DHT for peers with a model that nobody in the directory has. */
export class LookUp {
  readonly #components: LookUpComponents
  readonly #flights = new Map<string, Promise<void>>()
  /** Name or id → when it may be looked for again. */
  readonly #misses = new LruMap<string, number>(MISSES_MAX)

  readonly #searches

  constructor(components: LookUpComponents) {
    this.#components = components
    this.#searches = components.metrics.counter(
      'pinaivu_directory_look_ups_total',
      'Times that the DHT was asked for a model that no listed peer has.',
    )
    components.directory.onChange(({ entry, previous }) => {
      if (entry === undefined || entry.advert === previous?.advert) return
      for (const { id, name } of entry.advert.models) {
        this.#misses.delete(id)
        this.#misses.delete(name)
      }
    })
  }

  /** Resolves when the directory has it, or when it is not to be found now. */
  async find(nameOrId: string, signal: AbortSignal): Promise<void> {
    const { network, clock } = this.#components
    if (this.#has(nameOrId)) return
    if ((this.#misses.get(nameOrId) ?? 0) > clock.elapsed()) return
    // Who is alone has not missed anything.
    if (network.connected().length === 0) return
    await unlessAborted(this.#flight(nameOrId), signal)
  }

  #flight(nameOrId: string): Promise<void> {
    let flight = this.#flights.get(nameOrId)
    if (flight === undefined) {
      if (this.#flights.size >= AT_ONCE_MAX) {
        throw new BusyError('Too many unknown models are looked for already.', LOOK_UP_MS)
      }
      flight = this.#search(nameOrId).finally(() => this.#flights.delete(nameOrId))
      this.#flights.set(nameOrId, flight)
    }
    return flight
  }

  /** Never fails: what goes wrong on the way is a miss. */
  async #search(nameOrId: string): Promise<void> {
    const { clock, directory } = this.#components
    this.#searches.add()
    const found = new AbortController()
    let cancel = () => {}
    const unlisten = directory.onChange(() => {
      if (!this.#has(nameOrId)) return
      unlisten()
      cancel = clock.after(GRACE_MS, () => found.abort())
    })
    try {
      const limit = { ms: LOOK_UP_MS, what: 'The look-up', signal: found.signal }
      await within(clock, limit, (signal) => this.#followHints(nameOrId, signal))
    } catch {
      // Found, or out of time, or the DHT is out of reach: what counts is whether it is there now.
    } finally {
      unlisten()
      cancel()
    }
    if (!this.#has(nameOrId)) this.#misses.set(nameOrId, clock.elapsed() + MISS_MS)
  }

  async #followHints(nameOrId: string, signal: AbortSignal): Promise<void> {
    const { network, exchange, self } = this.#components
    const kind = parseModelId(nameOrId) === undefined ? 'model-name' : 'model-id'
    const key = lookupKey(kind, nameOrId)
    const asked = new Map<string, Promise<void>>()
    let read = 0
    for await (const hint of network.findProviders(key, { signal, wide: true })) {
      const { peerId, addresses } = hint
      if (peerId !== self && !asked.has(peerId)) {
        // All at once: those that are made up do not answer in time, and must not hold up the others.
        const asking = exchange.ask(peerId, { addresses, signal })
        asked.set(
          peerId,
          asking.catch(() => {}),
        )
      }
      if (asked.size >= HINTS_MAX || ++read >= HINTS_READ_MAX) break
    }
    await Promise.all(asked.values())
  }

  #has(nameOrId: string): boolean {
    const { directory } = this.#components
    return directory.byModelName(nameOrId).length + directory.byModelId(nameOrId).length > 0
  }
}
