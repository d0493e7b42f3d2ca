import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { DeadlineError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Directory } from '../../network/discovery/directory.ts'
import { draw } from '../../network/discovery/draw.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { Network } from '../../network/network.ts'
import { isArchive } from './archives.ts'
import type { Puller } from './puller.ts'
import type { Reconciler } from './reconciler.ts'
import { type AskComponents, asking } from './sync-client.ts'

/** What gossip has lost is found after so long, more or less: archives must not ask all at once. */
const ROUND_MS = 30_000
const ARCHIVES_PER_ROUND = 4
const OTHERS_PER_ROUND = 2
/** Some take their time to answer; what they bring is taken in by the puller, in turn. */
const AT_ONCE = 32
/** Of peers in one net, as `netOf` says it: it may be one operator's, all of which are slow. */
const OF_NET = 16
const NETS_MAX = 1_024
/** Then others get their turn. */
const ASK_MS = 60_000
/** Over a slow line it takes more than one go, each of which brings so much. */
const GO_BYTES_MIN = 1024 * 1024
/** By then gossip has made its way to a new connection: what it lost before is found at once. */
const SETTLE_MS = 5_000
/** Where there is more to fetch. */
const AGAIN_MS = 1_000
const RETRY_FIRST_MS = 2_000
const RETRY_MAX_MS = 600_000
const REMEMBERED_MAX = 4_096

export interface ArchiveRoundsComponents extends AskComponents {
  network: Pick<Network, 'open' | 'fault' | 'connected' | 'isConnected' | 'onConnection' | 'link'>
  directory: Pick<Directory, 'get'>
  reconciler: Reconciler
  puller: Pick<Puller, 'takenFrom'>
  background: Background
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

/** An archive asks others again and again what they know: whom it meets at once, and some in turn. */
export class ArchiveRounds {
  readonly #components: ArchiveRoundsComponents
  readonly #turns = new Turns(AT_ONCE)
  readonly #ofNets = new LruMap<string, Turns>(NETS_MAX)
  /** Those that are asked, or about to be. */
  readonly #busy = new Set<string>()
  readonly #failures = new LruMap<string, number>(REMEMBERED_MAX)
  readonly #asked

  constructor(components: ArchiveRoundsComponents) {
    this.#components = components
    this.#asked = components.metrics.counter(
      'pinaivu_log_rounds_total',
      'Times that this archive compared its logs with those of another peer.',
      ['result'],
    )
  }

  /** Returns how to end listening; the background ends the rest. */
  start(): () => void {
    const { network, background } = this.#components
    const unlisten = network.onConnection(({ peerId, connected }) => {
      if (connected) this.#meet(peerId)
    })
    for (const peerId of network.connected()) this.#meet(peerId)
    background.run((signal) => this.#rounds(signal))
    return unlisten
  }

  async #rounds(signal: AbortSignal): Promise<void> {
    const { clock, random, network, directory } = this.#components
    for (;;) {
      await clock.sleep(ROUND_MS * (0.8 + random.below(400) / 1000), signal)
      const connected = network.connected()
      const archives = connected.filter((peerId) => isArchive(directory, peerId))
      const others = connected.filter((peerId) => !isArchive(directory, peerId))
      for (const peerId of [
        ...draw(archives, ARCHIVES_PER_ROUND, random),
        ...draw(others, OTHERS_PER_ROUND, random),
      ]) {
        this.#soon(peerId, 0)
      }
    }
  }

  #meet(peerId: string): void {
    this.#soon(peerId, 0)
    const { background, clock } = this.#components
    background.run(async (signal) => {
      await clock.sleep(SETTLE_MS, signal)
      this.#soon(peerId, 0)
    })
  }

  #soon(peerId: string, ms: number): void {
    if (this.#busy.has(peerId)) return
    this.#busy.add(peerId)
    const { background, clock, network } = this.#components
    background.run(async (signal) => {
      let againMs: number | undefined
      try {
        if (ms > 0) await clock.sleep(ms, signal)
        againMs = await this.#inTurn(peerId, signal)
      } finally {
        this.#busy.delete(peerId)
      }
      if (againMs !== undefined && network.isConnected(peerId)) this.#soon(peerId, againMs)
    })
  }

  #inTurn(peerId: string, signal: AbortSignal): Promise<number | undefined> {
    const net = this.#components.network.link(peerId)?.net ?? 'unknown'
    const ofNet = this.#ofNets.get(net) ?? new Turns(OF_NET)
    this.#ofNets.set(net, ofNet)
    return ofNet.take(signal, () => this.#turns.take(signal, () => this.#ask(peerId, signal)))
  }

  /** Resolves to when to ask again, if not with the others. */
  async #ask(peerId: string, signal: AbortSignal): Promise<number | undefined> {
    const { network, clock, reconciler, puller, logger } = this.#components
    if (!network.isConnected(peerId)) return undefined
    const takenBefore = puller.takenFrom(peerId)
    const begunAt = clock.elapsed()
    const limit = { ms: ASK_MS, what: 'Comparing logs', signal }
    try {
      const isMore = await within(clock, limit, (ending) =>
        asking(this.#components, peerId, { signal: ending }, (client) =>
          reconciler.reconcile(client),
        ),
      )
      this.#failures.delete(peerId)
      this.#asked.add(1, { result: isMore ? 'more' : 'done' })
      return isMore ? AGAIN_MS : undefined
    } catch (error) {
      if (signal.aborted) throw error
      const taken = puller.takenFrom(peerId) - takenBefore
      if (error instanceof DeadlineError && taken >= GO_BYTES_MIN) return AGAIN_MS
      const failures = this.#failures.get(peerId) ?? 0
      this.#failures.set(peerId, failures + 1)
      this.#asked.add(1, { result: 'failed' })
      logger.debug('logs not compared', { peerId, error: messageOf(error) })
      // Whoever was slow to fail has kept others waiting.
      const firstMs = Math.max(RETRY_FIRST_MS, clock.elapsed() - begunAt)
      return backoffMs(failures, firstMs, RETRY_MAX_MS)
    }
  }
}
