import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Directory } from '../../network/discovery/directory.ts'
import { Rounds } from '../../network/discovery/rounds.ts'
import type { Network } from '../../network/network.ts'
import { lookupKey } from '../../wire/model-id.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'
import { isArchive } from './archives.ts'

/** A connection that hangs is found dead within 20 s; what was said before may be lost with it. */
const HEARD_MS = 30_000
const SEEK_MS = 20_000
/** Of those that say in the DHT to be archives; anybody can. */
const TRIED_MAX = 8
const CONNECT_MS = 4_000
/** By then a new connection has said who it is. */
const SETTLE_MS = 500
/** However many answers are given. */
const GAP_MS = 10_000
/** An archive has so many others beside it; each of them has others again. */
const OTHERS = 3
/** By then it has met those through whom it joins. */
const JOIN_MS = 5_000
/** It looks whether they are still there. */
const LOOK_MS = 30_000
/** A network may have none at all: new heads do not hurry who has looked in vain. */
const RETRY_FIRST_MS = 15_000
const RETRY_MAX_MS = 120_000
/** One that is there and has no place now may have one soon. */
const FULL_MS_MAX = 30_000

export interface ArchiveSeekerComponents {
  network: Pick<Network, 'connect' | 'connected' | 'findProviders'>
  directory: Pick<Directory, 'get'>
  log: Pick<OwnFeed, 'onHead'>
  background: Background
  clock: Clock
  logger: Logger
}

/**
 * Sees that each new head is told to an archive: where none is connected, it looks for one. An archive
 * looks for others: where not all are connected to all, it would never have what only those are told.
 */
export class ArchiveSeeker {
  readonly #components: ArchiveSeekerComponents
  readonly #isArchive: boolean
  readonly #rounds: Rounds
  #saidAt = 0
  #failures = 0

  constructor(components: ArchiveSeekerComponents, options: { archive: boolean }) {
    this.#components = components
    this.#isArchive = options.archive
    const { clock } = components
    this.#rounds = new Rounds(clock, (signal) => this.#round(signal), { gapMs: GAP_MS })
  }

  /** Returns how to end listening; the background ends the rest. */
  start(): () => void {
    const { log, clock, background } = this.#components
    background.run((signal) => this.#rounds.run(signal))
    if (this.#isArchive) this.#rounds.soon(JOIN_MS)
    return log.onHead(() => {
      this.#saidAt = clock.elapsed()
      if (this.#failures === 0) this.#rounds.soon(0)
    })
  }

  get #hasEnough(): boolean {
    const { network, directory } = this.#components
    const archives = network.connected().filter((peerId) => isArchive(directory, peerId))
    return archives.length >= (this.#isArchive ? OTHERS : 1)
  }

  async #round(signal: AbortSignal): Promise<number> {
    const { clock, logger } = this.#components
    let areThere = false
    if (!this.#hasEnough) {
      const limit = { ms: SEEK_MS, what: 'Looking for an archive', signal }
      areThere = await within(clock, limit, (ending) => this.#seek(ending)).catch(
        (error: unknown) => {
          signal.throwIfAborted()
          logger.debug('no archive found', { error: messageOf(error) })
          return false
        },
      )
    }
    if (!this.#hasEnough) {
      const isFull = areThere && !this.#isArchive
      return backoffMs(this.#failures++, RETRY_FIRST_MS, isFull ? FULL_MS_MAX : RETRY_MAX_MS)
    }
    this.#failures = 0
    if (this.#isArchive) return LOOK_MS
    // It asks for all that there is as soon as it is met.
    const isHeard = clock.elapsed() - this.#saidAt >= HEARD_MS
    return isHeard ? Number.POSITIVE_INFINITY : HEARD_MS
  }

  /** Resolves to whether the DHT names any. */
  async #seek(signal: AbortSignal): Promise<boolean> {
    const { network, clock } = this.#components
    let tried = 0
    for await (const hint of network.findProviders(lookupKey('role', 'archive'), { signal })) {
      const limit = { ms: CONNECT_MS, what: 'Reaching an archive', signal }
      const isThere = await within(clock, limit, (ending) =>
        network.connect(hint.peerId, hint.addresses, { signal: ending }),
      ).then(
        () => true,
        () => false,
      )
      if (isThere) await clock.sleep(SETTLE_MS, signal)
      if (this.#hasEnough || ++tried >= TRIED_MAX) break
    }
    return tried > 0
  }
}
