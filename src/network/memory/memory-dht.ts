import { PeerError } from '../../base/errors.ts'
import { hexName } from '../../base/hex.ts'
import type { Random } from '../../base/random.ts'
import type { PeerHint, RecordCheck, Wait } from '../network.ts'

/** Of one look-up, as the real one reads them. */
const HINTS_MAX = 64

/** What all peers together keep for each other. */
export class MemoryDht {
  /** Key in hex → peer id → addresses. */
  readonly providers = new Map<string, Map<string, string[]>>()
  /** `<kind>/<peer id>` → the record. */
  readonly records = new Map<string, Uint8Array>()
  /** How often anybody looked anything up. */
  lookups = 0
}

export interface DhtViewComponents {
  peerId: string
  address: string
  records: Readonly<Record<string, RecordCheck>>
  random: Random
  /** One look-up: it takes its time, and needs somebody to ask. */
  lookUp(key: string, signal: AbortSignal): Promise<void>
}

/** The DHT as one peer uses it. */
export class DhtView {
  readonly #dht: MemoryDht
  readonly #components: DhtViewComponents
  /** Kind and peer → the highest sequence of its records that was seen. */
  readonly #newest = new Map<string, number>()

  constructor(dht: MemoryDht, components: DhtViewComponents) {
    this.#dht = dht
    this.#components = components
  }

  async provide(key: Uint8Array, { signal }: Wait): Promise<void> {
    const { peerId, address, lookUp } = this.#components
    const name = hexName(key)
    await lookUp(name, signal)
    const { providers } = this.#dht
    const ofKey = providers.get(name) ?? new Map<string, string[]>()
    providers.set(name, ofKey.set(peerId, [address]))
  }

  unprovide(key: Uint8Array): void {
    this.#dht.providers.get(hexName(key))?.delete(this.#components.peerId)
  }

  async *findProviders(key: Uint8Array, { signal }: Wait): AsyncGenerator<PeerHint> {
    const { peerId: self, random, lookUp } = this.#components
    const name = hexName(key)
    await lookUp(name, signal)
    const all = [...(this.#dht.providers.get(name) ?? [])]
    const isMore = all.length > HINTS_MAX
    for (let left = Math.min(all.length, HINTS_MAX); left > 0; left--) {
      const [hint] = all.splice(isMore ? random.below(all.length) : 0, 1)
      if (hint === undefined || hint[0] === self) continue
      yield { peerId: hint[0], addresses: [...hint[1]] }
    }
  }

  async putRecord(kind: string, value: Uint8Array, { signal }: Wait): Promise<void> {
    const { peerId, lookUp } = this.#components
    await this.#checked(kind, peerId, value)
    await lookUp(peerId, signal)
    this.#dht.records.set(`${kind}/${peerId}`, value.slice())
  }

  async getRecord(kind: string, peerId: string, { signal }: Wait): Promise<Uint8Array | undefined> {
    await this.#components.lookUp(peerId, signal)
    const value = this.#dht.records.get(`${kind}/${peerId}`)
    if (value === undefined) return undefined
    try {
      await this.#checked(kind, peerId, value)
      return value.slice()
    } catch {
      return undefined
    }
  }

  async #checked(kind: string, peerId: string, value: Uint8Array): Promise<void> {
    const refused = (message: string) => new PeerError('record_refused', message)
    const check = this.#components.records[kind]
    if (check === undefined) throw refused(`No record of ${kind} is kept.`)
    const sequence = await check(peerId, value)
    const name = `${kind}/${peerId}`
    if (sequence < (this.#newest.get(name) ?? 0)) throw refused('There is a newer one.')
    this.#newest.set(name, sequence)
  }
}

/** Where a name stands among all others (FNV-1a). */
export function placeOf(name: string): number {
  let place = 0x811c9dc5
  for (let at = 0; at < name.length; at++) {
    place = Math.imul(place ^ name.charCodeAt(at), 0x01000193)
  }
  return place >>> 0
}
