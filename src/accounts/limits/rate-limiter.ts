import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Principal } from '../principal.ts'
import { Meter } from './meter.ts'

/** More than a peer holds keys; some 300 bytes each. What is forgotten begins anew, with full limits. */
const METERS_MAX = 65_536

/** The meters of all keys that have limits. In memory alone: after a start, every limit is whole. */
export class RateLimiter {
  readonly #clock: Pick<Clock, 'elapsed'>
  readonly #meters: LruMap<string, Meter>

  constructor({ clock }: { clock: Pick<Clock, 'elapsed'> }, { metersMax = METERS_MAX } = {}) {
    this.#clock = clock
    this.#meters = new LruMap(metersMax)
  }

  get size(): number {
    return this.#meters.size
  }

  /** Undefined for a key without limits. */
  meterOf({ keyId, limits }: Principal): Meter | undefined {
    if (limits === undefined) return undefined
    let meter = this.#meters.get(keyId)
    if (meter === undefined) {
      meter = new Meter(this.#clock, limits)
      this.#meters.set(keyId, meter)
    }
    return meter
  }

  /** Of a key whose request is on. */
  known(keyId: string | undefined): Meter | undefined {
    return keyId === undefined ? undefined : this.#meters.get(keyId)
  }
}
