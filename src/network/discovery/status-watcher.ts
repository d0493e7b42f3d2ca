import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import { protocols } from '../../wire/protocols.ts'
import { decodeStatus } from '../../wire/status-codec.ts'
import type { FrameStream, Network } from '../network.ts'
import type { AdvertExchange } from './advert-exchange.ts'
import type { Background } from './background.ts'
import type { MemoryDirectory } from './memory-directory.ts'
import { chooseWatched } from './watch-choice.ts'

/** Streams that are read all the time, and connections that are kept: eight models of eight peers. */
const WATCHED_MAX = 64
/** Many come and go together; nobody waits for the choice. */
const CHOOSE_AFTER_MS = 100
const OPEN_MS = 3_000
/** Three signs of life that did not come; meanwhile the peer itself was asked whether it is there. */
const SILENCE_MS = 15_000
/** Half of what an honest provider leaves between two: more is not read, and its sender waits. */
const READ_EVERY_MS = 25
const REOPEN_FIRST_MS = 1_000
const REOPEN_MAX_MS = 15_000
const PING_EVERY_MS = 15_000
const PING_MS = 5_000
const PING_AGAIN_MS = 3_000
/** Weight of the newest ping: three of them make the half of the figure. */
const SMOOTHING = 0.2
/** A peer may name higher sequences than it signs: it is asked for them no oftener than this. */
const ASK_EVERY_MS = 1_000

export interface StatusWatcherComponents {
  network: Pick<Network, 'open' | 'ping' | 'keep' | 'fault'>
  directory: MemoryDirectory
  exchange: Pick<AdvertExchange, 'ask'>
  background: Background
  clock: Clock
  logger: Logger
  metrics: Metrics
}

/** `status/1`, the reader's side: keeps warm the peers that are likely to be used, and knows their load. */
export class StatusWatcher {
  readonly #components: StatusWatcherComponents
  readonly #watched = new Map<string, AbortController>()
  readonly #asking = new Set<string>()
  readonly #gauge
  #wanted: readonly string[] = []
  #cancelChoice: (() => void) | undefined

  constructor(components: StatusWatcherComponents) {
    this.#components = components
    const help = 'Peers whose status is followed.'
    this.#gauge = components.metrics.gauge('pinaivu_directory_watched', help)
    components.directory.onChange(({ entry, previous }) => {
      if (entry?.advert !== previous?.advert) this.#chooseSoon()
    })
  }

  /** Those to follow before all others, the most wanted first. */
  watch(peerIds: readonly string[]): void {
    this.#wanted = peerIds.slice(0, WATCHED_MAX)
    this.#chooseSoon()
  }

  watches(peerId: string): boolean {
    return this.#watched.has(peerId)
  }

  stop(): void {
    this.#cancelChoice?.()
    for (const peerId of [...this.#watched.keys()]) this.#end(peerId)
  }

  #chooseSoon(): void {
    const { clock, background } = this.#components
    if (background.signal.aborted) return
    this.#cancelChoice ??= clock.after(CHOOSE_AFTER_MS, () => {
      this.#cancelChoice = undefined
      this.#choose()
    })
  }

  #choose(): void {
    const { directory, background } = this.#components
    const watched = new Set(this.#watched.keys())
    const wishes = { wanted: this.#wanted, watched, limit: WATCHED_MAX }
    const chosen = chooseWatched(directory, wishes)
    for (const peerId of watched) if (!chosen.has(peerId)) this.#end(peerId)
    for (const peerId of chosen) {
      if (this.#watched.has(peerId)) continue
      const end = new AbortController()
      this.#watched.set(peerId, end)
      background.run(() => this.#follow(peerId, end.signal))
      background.run(() => this.#measure(peerId, end.signal))
      this.#components.network.keep(peerId, true)
    }
    this.#gauge.set(this.#watched.size)
  }

  #end(peerId: string): void {
    const { network, directory } = this.#components
    this.#watched.get(peerId)?.abort()
    this.#watched.delete(peerId)
    network.keep(peerId, false)
    if (directory.get(peerId)?.status) directory.update(peerId, { status: undefined })
  }

  /** A stream that ends is opened again, ever less often while that fails. */
  async #follow(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, logger, directory } = this.#components
    for (let failures = 0; ; failures++) {
      const beganAt = clock.elapsed()
      try {
        await this.#read(peerId, signal)
      } catch (error) {
        if (signal.aborted) return
        logger.debug('status not followed', { peerId, error: messageOf(error) })
      }
      if (directory.get(peerId)?.status) directory.update(peerId, { status: undefined })
      if (clock.elapsed() - beganAt > REOPEN_MAX_MS) failures = 0
      await clock.sleep(backoffMs(failures, REOPEN_FIRST_MS, REOPEN_MAX_MS), signal)
    }
  }

  async #read(peerId: string, signal: AbortSignal): Promise<void> {
    const { network, clock } = this.#components
    const opening = { ms: OPEN_MS, what: 'Opening the status', signal }
    const stream = await within(clock, opening, (signal) =>
      network.open(peerId, protocols.status, { signal, lasting: true }),
    )
    try {
      // The provider alone speaks.
      await stream.close()
      const reading = { ms: SILENCE_MS, what: 'The next status', signal }
      for (;;) {
        const frame = await within(clock, reading, (signal) => stream.read({ signal }))
        if (frame === undefined) return
        this.#hear(stream, frame)
        await clock.sleep(READ_EVERY_MS, signal)
      }
    } finally {
      stream.reset(new PeerError('done', 'The status is not followed any more.'))
    }
  }

  #hear({ peerId }: FrameStream, frame: Uint8Array): void {
    const { directory, network, clock } = this.#components
    try {
      const status = decodeStatus(frame)
      directory.update(peerId, { status, heardAt: clock.elapsed(), connected: true })
      if (this.#hasNewer(peerId) && !this.#asking.has(peerId)) {
        this.#components.background.run((signal) => this.#askForNewer(peerId, signal))
      }
    } catch (error) {
      if (error instanceof PeerError) network.fault(peerId, error.action ?? 'penalise', error.code)
      throw error
    }
  }

  #hasNewer(peerId: string): boolean {
    const { status, advert } = this.#components.directory.get(peerId) ?? {}
    return status !== undefined && advert !== undefined && status.advertSequence > advert.sequence
  }

  async #askForNewer(peerId: string, signal: AbortSignal): Promise<void> {
    const { exchange, clock } = this.#components
    this.#asking.add(peerId)
    try {
      while (this.#hasNewer(peerId)) {
        await exchange.ask(peerId, { signal }).catch(() => {})
        await clock.sleep(ASK_EVERY_MS, signal)
      }
    } finally {
      this.#asking.delete(peerId)
    }
  }

  /** Smoothed, as one ping may wait behind a burst of tokens. */
  async #measure(peerId: string, signal: AbortSignal): Promise<void> {
    const { network, clock, directory } = this.#components
    for (;;) {
      const limit = { ms: PING_MS, what: 'A ping', signal }
      let waitMs = PING_EVERY_MS
      try {
        const ms = await within(clock, limit, (signal) => network.ping(peerId, { signal }))
        const before = directory.get(peerId)?.rttMs ?? ms
        directory.update(peerId, { rttMs: before + SMOOTHING * (ms - before) })
      } catch {
        // Not connected yet, or too busy to answer: what is known of it stays.
        waitMs = PING_AGAIN_MS
      }
      await clock.sleep(waitMs, signal)
    }
  }
}
