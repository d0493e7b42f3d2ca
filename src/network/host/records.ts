import { PeerError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { RecordCheck } from '../network.ts'
import { storeLimits } from './limits.ts'

const text = new TextEncoder()
const NAMESPACE = 'pinaivu-'
/** A key is anybody's bytes: what doesn't decode stays away from the checks. */
const decoder = new TextDecoder('utf-8', { fatal: true })

type ByNamespace<T> = { [namespace: string]: T }

/**
 * Judges the records that peers put into the DHT under their own id. The DHT runs validators on
 * what it is asked to keep and not its selectors, so an old record would take the place of a newer
 * one: a validator here also refuses what is older than the newest it has seen.
 */
export class Records {
  readonly #checks: ReadonlyMap<string, RecordCheck>
  /** Key → the highest sequence seen. */
  readonly #newest = new LruMap<string, number>(storeLimits.recordsMax)

  constructor(checks: Readonly<Record<string, RecordCheck>>) {
    this.#checks = new Map(Object.entries(checks))
  }

  key(kind: string, peerId: string): Uint8Array {
    return text.encode(`/${NAMESPACE}${kind}/${peerId}`)
  }

  /** The record's sequence; throws when it must not be kept. */
  async check(kind: string, peerId: string, value: Uint8Array): Promise<number> {
    const check = this.#checks.get(kind)
    if (check === undefined) throw refused(`No record of "${kind}" is kept in this network.`)
    if (value.length > storeLimits.valueBytesMax) throw refused('That record is too large.')
    const sequence = await check(peerId, value)
    const name = `${kind}/${peerId}`
    if (sequence < (this.#newest.get(name) ?? 0)) throw refused('There is a newer record.')
    this.#newest.set(name, sequence)
    return sequence
  }

  validators(): ByNamespace<(key: Uint8Array, value: Uint8Array) => Promise<void>> {
    return this.#byNamespace((kind) => async (key, value) => {
      await this.check(kind, peerOf(kind, key), value)
    })
  }

  /** Used by who asks: the newest of all that were found. */
  selectors(): ByNamespace<(key: Uint8Array, values: Uint8Array[]) => Promise<number>> {
    return this.#byNamespace((kind) => async (key, values) => {
      const peerId = peerOf(kind, key)
      const sequences = await Promise.all(
        values.map((value) => this.check(kind, peerId, value).catch(() => -1)),
      )
      return sequences.indexOf(Math.max(...sequences))
    })
  }

  #byNamespace<T>(make: (kind: string) => T): ByNamespace<T> {
    return Object.fromEntries(
      [...this.#checks.keys()].map((kind) => [NAMESPACE + kind, make(kind)]),
    )
  }
}

/** The whole rest of the key: another spelling of an id does not pass the check of the record. */
function peerOf(kind: string, key: Uint8Array): string {
  return decoder.decode(key).slice(`/${NAMESPACE}${kind}/`.length)
}

function refused(message: string): PeerError {
  return new PeerError('record_refused', message, { action: 'ignore' })
}
