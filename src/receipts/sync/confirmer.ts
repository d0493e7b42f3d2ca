import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Directory } from '../../network/discovery/directory.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { Network } from '../../network/network.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'
import { isArchive } from './partners.ts'
import { type AskComponents, asking } from './sync-client.ts'

/** By then a new connection has said who it is. */
const SETTLE_MS = 200
/** An archive knows best, and is asked first; the others wait for it no longer. */
const ARCHIVE_FIRST_MS = 1_000
const ASK_MS = 5_000
const AT_ONCE = 4
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 10_000
/** Once heads are shown, so many more are asked, until one knows this log. */
const ASKED_MAX = 16

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
 * After a restart, asks others which head of this peer's log they know: before one has said it, none
 * is shown.
 */
export class Confirmer {
  readonly #components: ConfirmerComponents
  readonly #turns = new Turns(AT_ONCE)
  #asked = 0
  #isKnown = false
  #unlisten = () => {}

  constructor(components: ConfirmerComponents) {
    this.#components = components
  }

  /** Returns how to end that. */
  start(): () => void {
    const { network, log } = this.#components
    if (!log.isHeld) return () => {}
    this.#unlisten = network.onConnection(({ peerId, connected }) => {
      if (connected) this.#ask(peerId)
    })
    for (const peerId of network.connected()) this.#ask(peerId)
    return () => this.#unlisten()
  }

  get #isDone(): boolean {
    const { log } = this.#components
    return !log.isHeld && (this.#isKnown || this.#asked >= ASKED_MAX)
  }

  #ask(peerId: string): void {
    this.#components.background.run((signal) => this.#askUntilDone(peerId, signal))
  }

  async #askUntilDone(peerId: string, signal: AbortSignal): Promise<void> {
    const { clock, network, directory, logger } = this.#components
    await clock.sleep(SETTLE_MS, signal)
    const isOther = !isArchive(directory, peerId)
    const hasArchive = network.connected().some((each) => isArchive(directory, each))
    if (isOther && hasArchive) await clock.sleep(ARCHIVE_FIRST_MS, signal)
    for (let failures = 0; !this.#isDone && network.isConnected(peerId); failures++) {
      try {
        await this.#turns.take(signal, () => this.#confirm(peerId, signal))
        break
      } catch (error) {
        if (signal.aborted) return
        logger.debug('a peer does not say what it knows of this log', {
          peerId,
          error: messageOf(error),
        })
      }
      await clock.sleep(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures), signal)
    }
    if (this.#isDone) this.#unlisten()
  }

  async #confirm(peerId: string, signal: AbortSignal): Promise<void> {
    if (this.#isDone) return
    const { clock, log, publicKey, directory } = this.#components
    const limit = { ms: ASK_MS, what: 'Asking what is known of this log', signal }
    const heads = await within(clock, limit, (ending) =>
      asking(this.#components, peerId, { signal: ending }, (client) => client.heads([publicKey])),
    )
    await log.confirm(heads)
    this.#asked += 1
    if (heads.length > 0 || isArchive(directory, peerId)) this.#isKnown = true
  }
}
