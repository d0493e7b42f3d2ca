import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Directory } from '../../network/discovery/directory.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { Network } from '../../network/network.ts'
import type { Signed } from '../../wire/generate.ts'
import { readHead } from '../../wire/head.ts'
import { feedName } from '../feeds/feed-id.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'
import { isArchive } from './archives.ts'
import { type AskComponents, asking } from './sync-client.ts'

/** By then a new connection has said who it is. */
const SETTLE_MS = 200
/** An archive knows best, and is asked first; the others wait for it no longer. */
const ARCHIVE_FIRST_MS = 1_000
const ASK_MS = 5_000
const AT_ONCE = 16
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 10_000
/** Anybody may know nothing, or little: no head is shown before so many have answered, … */
const ENOUGH = 2
/** … and all that are asked, unless that takes so long from the first answer on. */
const PATIENCE_MS = 2_000
/** Whoever comes later may know a newer head: so long, and so many. */
const LATER_MS = 600_000
const ASKED_MAX = 64

export interface ConfirmerComponents extends AskComponents {
  network: Pick<Network, 'open' | 'fault' | 'connected' | 'isConnected' | 'onConnection'>
  directory: Pick<Directory, 'get'>
  log: Pick<OwnFeed, 'confirm' | 'isHeld'>
  /** This peer's key. */
  publicKey: Uint8Array
  background: Background
  clock: Clock
  logger: Logger
}

/**
 * After a restart, asks others which head of this peer's log they know: before some have said it,
 * none is shown. The newest that is told counts.
 */
export class Confirmer {
  readonly #components: ConfirmerComponents
  readonly #turns = new Turns(AT_ONCE)
  /** Peers that are asked, or will be again. */
  readonly #asked = new Set<string>()
  /** Those of them that have not answered or failed yet. */
  readonly #waitedFor = new Set<string>()
  readonly #answered = new Set<string>()
  /** The newest head of each epoch. */
  readonly #told = new Map<string, Signed>()
  readonly #enough = Promise.withResolvers<void>()
  #shownAt: number | undefined
  #unlisten = () => {}

  constructor(components: ConfirmerComponents) {
    this.#components = components
  }

  /** Returns how to end that. */
  start(): () => void {
    const { network, log } = this.#components
    if (!log.isHeld) return () => {}
    this.#unlisten = network.onConnection(({ peerId, connected }) => {
      if (connected) this.#meet(peerId)
    })
    for (const peerId of network.connected()) this.#meet(peerId)
    return () => this.#unlisten()
  }

  get #isDone(): boolean {
    const { clock } = this.#components
    if (this.#shownAt === undefined) return false
    return this.#answered.size >= ASKED_MAX || clock.elapsed() >= this.#shownAt + LATER_MS
  }

  #meet(peerId: string): void {
    if (this.#isDone) this.#unlisten()
    if (this.#isDone || this.#asked.has(peerId) || this.#answered.has(peerId)) return
    this.#asked.add(peerId)
    this.#waitedFor.add(peerId)
    this.#components.background.run(async (signal) => {
      await this.#askUntilDone(peerId, signal)
      this.#asked.delete(peerId)
      this.#waitNoMore(peerId)
    })
  }

  async #askUntilDone(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, network, directory, log, logger } = this.#components
    await clock.sleep(SETTLE_MS, signal)
    const isOther = !isArchive(directory, peerId)
    const hasArchive = network.connected().some((each) => isArchive(directory, each))
    if (isOther && hasArchive) await clock.sleep(ARCHIVE_FIRST_MS, signal)
    for (let failures = 0; !this.#isDone && network.isConnected(peerId); failures++) {
      try {
        await this.#turns.take(signal, () => this.#ask(peerId, signal))
        await unlessAborted(this.#enough.promise, signal)
        await log.confirm([...this.#told.values()])
        this.#shownAt ??= clock.elapsed()
        return
      } catch (error) {
        if (signal.aborted) return
        logger.debug('a peer does not say what it knows of this log', {
          peerId,
          error: messageOf(error),
        })
      }
      await clock.sleep(backoffMs(failures, RETRY_FIRST_MS, RETRY_MAX_MS), signal)
    }
  }

  async #ask(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, publicKey } = this.#components
    const limit = { ms: ASK_MS, what: 'Asking what is known of this log', signal }
    try {
      const heads = await within(clock, limit, (ending) =>
        asking(this.#components, peerId, { signal: ending }, (client) => client.heads([publicKey])),
      )
      this.#hear(peerId, heads)
    } finally {
      this.#waitNoMore(peerId)
    }
  }

  #hear(peerId: string, heads: readonly Signed[]): void {
    const { background, clock } = this.#components
    for (const signed of heads) {
      const head = readHead(signed)
      const known = this.#told.get(feedName(head))
      if (known === undefined || readHead(known).size < head.size) {
        this.#told.set(feedName(head), signed)
      }
    }
    if (this.#answered.size === 0) {
      background.run(async (signal) => {
        await clock.sleep(PATIENCE_MS, signal)
        this.#enough.resolve()
      })
    }
    this.#answered.add(peerId)
  }

  #waitNoMore(peerId: string): void {
    this.#waitedFor.delete(peerId)
    if (this.#waitedFor.size === 0 && this.#answered.size >= ENOUGH) this.#enough.resolve()
  }
}
