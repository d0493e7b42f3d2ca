import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Advert } from '../../wire/advert.ts'
import { lookupKey } from '../../wire/model-id.ts'
import type { Network } from '../network.ts'
import { ADVERT_RECORD } from './advert-record.ts'
import type { OwnAdvert } from './own-advert.ts'
import { Rounds } from './rounds.ts'
import { Turns } from './turns.ts'

/** After a change, soon again: the first peers that hear it may know few others yet. */
const PAUSES_MS = [5_000, 15_000, 30_000, 60_000, 120_000, 300_000]
/** As DHT nodes come and go, the places where it is looked for move on. */
const PAUSE_MS_MAX = 600_000
/** Who comes and goes all the time does not make this peer announce itself all the time. */
const GAP_MS = 5_000
/** The routing table learns of a peer a moment after it is connected. */
const SETTLE_MS = 1_000
const PUT_MS = 10_000
/** Each asks some twenty peers. */
const PUTS_AT_ONCE = 4

export interface AnnouncerComponents {
  network: Pick<Network, 'connected' | 'provide' | 'unprovide' | 'putRecord'>
  own: OwnAdvert
  clock: Clock
  random: Random
  logger: Logger
}

/** Puts into the DHT, again and again, what others may look for and find this peer by. */
export class Announcer {
  readonly #components: AnnouncerComponents
  readonly #rounds: Rounds
  readonly #turns = new Turns(PUTS_AT_ONCE)
  /** What was said, by name. */
  #provided = new Map<string, Uint8Array>()
  #round = 0

  constructor(components: AnnouncerComponents) {
    this.#components = components
    this.#rounds = new Rounds(components.clock, (signal) => this.#announce(signal), {
      gapMs: GAP_MS,
    })
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#rounds.run(signal)
  }

  /** The advert, or who can hear it, is new. */
  soon(): void {
    this.#round = 0
    this.#rounds.soon(SETTLE_MS)
  }

  async #announce(signal: AbortSignal): Promise<number> {
    const { network, own, random } = this.#components
    own.checkAddresses()
    const { current } = own
    if (current === undefined || network.connected().length === 0) return Number.POSITIVE_INFINITY
    const pauseMs = PAUSES_MS[this.#round++] ?? PAUSE_MS_MAX
    const keys = keysOf(current.advert)
    const gone = [...this.#provided].filter(([name]) => !keys.has(name))
    this.#provided = keys
    await Promise.all([
      ...gone.map(([, key]) => this.#put(() => network.unprovide(key), signal)),
      ...[...keys.values()].map((key) =>
        this.#put((signal) => network.provide(key, { signal }), signal),
      ),
      this.#put((signal) => network.putRecord(ADVERT_RECORD, current.signed, { signal }), signal),
    ])
    return pauseMs * (0.8 + random.below(400) / 1000)
  }

  /** What does not get through now will at the next round. */
  async #put(put: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#components
    const limit = { ms: PUT_MS, what: 'Putting a record into the DHT', signal }
    try {
      await this.#turns.take(signal, () => within(clock, limit, put))
    } catch (error) {
      if (!signal.aborted) logger.debug('not announced', { error: messageOf(error) })
    }
  }
}

function keysOf({ models, roles }: Advert): Map<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>()
  for (const { id, name } of models) {
    keys.set(`model-id ${id}`, lookupKey('model-id', id))
    keys.set(`model-name ${name}`, lookupKey('model-name', name))
  }
  for (const role of roles) keys.set(`role ${role}`, lookupKey('role', role))
  return keys
}
