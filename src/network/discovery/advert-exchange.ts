import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import {
  decodeAdvertRequest,
  encodeAdvertRequest,
  openAdvert,
  openDeparture,
} from '../../wire/advert-codec.ts'
import { protocols } from '../../wire/protocols.ts'
import type { Verify, Verifying } from '../../wire/signed.ts'
import type { FrameStream, HandlerLimits, Network } from '../network.ts'
import { ADVERT_RECORD } from './advert-record.ts'
import type { Background } from './background.ts'
import { draw } from './draw.ts'
import type { OwnAdvert } from './own-advert.ts'
import type { Roster } from './roster.ts'
import { Turns } from './turns.ts'

/** To dial, shake hands, ask and hear: seven round trips over a bad link. */
const ASK_MS = 3_000
/** A hint is anybody's claim: more addresses than a peer has only keep us busy. */
const ADDRESSES_MAX = 8
/** Each holds a stream, and those that never answer hold theirs for all of ASK_MS. */
const ASKS_AT_ONCE = 64
/** The good-bye must not hold up the end of the process. */
const DEPARTURE_MS = 300
/** Of somebody else: through so many peers the word reaches all within a few hops. */
const FORWARDS_MAX = 16
const FORWARD_MS = 1_000
/** An answer is at most 8 KiB, signed already; peers that leave together are many at a time. */
const LIMITS: HandlerLimits = { streamsMax: 16, opensPerSecond: 32, isIdle: true }

export interface AdvertExchangeComponents {
  network: Network
  /** This peer's own id. */
  self: string
  verify: Verify
  own: OwnAdvert
  roster: Roster
  background: Background
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

interface AskOptions {
  /** Tried beside those that are known. */
  addresses?: readonly string[]
  signal: AbortSignal
}

/** `advert/1`: peers ask each other who they are, and say when they leave. */
export class AdvertExchange {
  readonly #components: AdvertExchangeComponents
  readonly #opening: Verifying
  readonly #asking = new Map<string, Promise<void>>()
  readonly #turns = new Turns(ASKS_AT_ONCE)
  readonly #refused

  constructor(components: AdvertExchangeComponents, options: { network: string }) {
    this.#components = components
    this.#opening = { network: options.network, verify: components.verify }
    this.#refused = components.metrics.counter(
      'pinaivu_adverts_refused_total',
      'Adverts and departures of other peers that did not count.',
      ['reason'],
    )
    components.network.handle(protocols.advert, (stream) => this.#serve(stream), LIMITS)
  }

  /** Resolves once that peer itself has said who it is, and is listed; throws when it did not. */
  ask(peerId: string, { addresses = [], signal }: AskOptions): Promise<void> {
    let asking = this.#asking.get(peerId)
    if (asking === undefined) {
      asking = this.#ask(peerId, addresses).finally(() => this.#asking.delete(peerId))
      // Each who waits hears of a failure; nobody may be waiting any more.
      asking.catch(() => {})
      this.#asking.set(peerId, asking)
    }
    return unlessAborted(asking, signal)
  }

  /** Tells every connected peer that this one leaves. */
  async depart(): Promise<void> {
    const { network, own, clock } = this.#components
    const signed = await own.depart()
    const { signal } = new AbortController()
    const limit = { ms: DEPARTURE_MS, what: 'Saying good-bye', signal }
    const all = network.connected()
    await within(clock, limit, async (signal) => {
      await Promise.allSettled(all.map((peerId) => this.#tell(peerId, signed, signal)))
    })
  }

  async #ask(peerId: string, addresses: readonly string[]): Promise<void> {
    const { network, clock, background, roster } = this.#components
    const limit = { ms: ASK_MS, what: 'Asking a peer who it is', signal: background.signal }
    await this.#turns.take(background.signal, () =>
      within(clock, limit, async (signal) => {
        if (!network.isConnected(peerId)) await this.#connect(peerId, addresses, signal)
        const request = encodeAdvertRequest({ type: 'ask' })
        const signed = await this.#answer(peerId, request, signal)
        try {
          const opening = { ...this.#opening, from: peerId }
          this.#counted(() => roster.admit(openAdvert(signed, opening)))
        } catch (error) {
          if (error instanceof PeerError && error.action !== undefined) {
            network.fault(peerId, error.action, error.code)
          }
          await this.#remindOfDeparture(peerId, signal)
          throw error
        }
      }),
    )
  }

  /**
   * It is there although it has left: another process with its key has, as of a machine that was
   * copied. Shown the good-bye, it signs an advert that is newer.
   */
  async #remindOfDeparture(peerId: string, signal: AbortSignal): Promise<void> {
    const departure = this.#components.roster.departureOf(peerId)
    if (departure !== undefined) await this.#tell(peerId, departure, signal).catch(() => {})
  }

  async #connect(peerId: string, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const { network } = this.#components
    try {
      await network.connect(peerId, addresses.slice(0, ADDRESSES_MAX), { signal })
    } catch (error) {
      if (addresses.length > 0 || signal.aborted) throw error
      await network.connect(peerId, await this.#addressesInDht(peerId, signal), { signal })
    }
  }

  /** By the peer's own record, or else by what others say. */
  async #addressesInDht(peerId: string, signal: AbortSignal): Promise<string[]> {
    const { network } = this.#components
    const record = await network.getRecord(ADVERT_RECORD, peerId, { signal })
    if (record === undefined) return await network.findPeer(peerId, { signal })
    return openAdvert(record, { ...this.#opening, from: peerId }).addresses
  }

  async #answer(peerId: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const stream = await this.#components.network.open(peerId, protocols.advert, { signal })
    try {
      stream.write(request)
      await stream.close()
      const answer = await stream.read({ signal })
      if (answer === undefined) throw new PeerError('no_advert', 'That peer gives no advert.')
      return answer
    } finally {
      // Nothing more is wanted of it, whatever it still says.
      stream.reset(new PeerError('done', 'The advert has been read.'))
    }
  }

  async #serve(stream: FrameStream): Promise<void> {
    const { background, clock, own } = this.#components
    const limit = { ms: ASK_MS, what: 'A request for the advert', signal: background.signal }
    await within(clock, limit, async (signal) => {
      const frame = await stream.read({ signal })
      if (frame === undefined) return
      const request = decodeAdvertRequest(frame)
      if (request === undefined) return
      if (request.type === 'departure') this.#departure(request.signed, stream.peerId)
      else stream.write(await own.forReader())
    })
  }

  /** `from` brought it; whose it is stands in it. */
  #departure(signed: Uint8Array, from: string): void {
    const { roster, network, own, logger, self } = this.#components
    const { peerId, sequence } = this.#counted(() => openDeparture(signed, this.#opening))
    if (peerId === self) {
      logger.warn('this peer was said to leave; does another process use its key?', { from })
      own.outgrow(sequence)
      return
    }
    // Anybody can make keys without end, and sign that they leave.
    if (!roster.knows(peerId) && !network.isConnected(peerId)) return
    if (roster.depart(peerId, sequence, signed)) this.#forward(signed, [from, peerId])
  }

  /** Only whoever was listed is told of further: a departure is passed on once. */
  #forward(signed: Uint8Array, except: readonly string[]): void {
    const { network, background, clock, random } = this.#components
    const others = network.connected().filter((peerId) => !except.includes(peerId))
    const told = draw(others, FORWARDS_MAX, random)
    const limit = { ms: FORWARD_MS, what: 'Passing on a departure' }
    background.run((signal) =>
      within(clock, { ...limit, signal }, async (signal) => {
        await Promise.allSettled(told.map((peerId) => this.#tell(peerId, signed, signal)))
      }),
    )
  }

  async #tell(peerId: string, signed: Uint8Array, signal: AbortSignal): Promise<void> {
    const stream = await this.#components.network.open(peerId, protocols.advert, { signal })
    stream.write(encodeAdvertRequest({ type: 'departure', signed }))
    await stream.close()
    // The other side ends its part when it has read it.
    await stream.read({ signal })
  }

  #counted<T>(judge: () => T): T {
    try {
      return judge()
    } catch (error) {
      if (error instanceof PeerError) this.#refused.add(1, { reason: error.code })
      throw error
    }
  }
}
