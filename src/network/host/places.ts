import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { idleMsWith } from '../crowding.ts'
import type { ConnectionEvent } from '../network.ts'
import { connectionLimits, placeLimits as limits } from './limits.ts'

export interface PlacesComponents {
  clock: Clock
  logger: Logger
  /** They stay. */
  isKept(peerId: string): boolean
  /** Connections that are open now, whoever's. */
  taken(): number
  letGo(peerId: string): Promise<void>
}

interface Guest {
  streams: number
  /** `clock.elapsed()`, since the end of its last stream. */
  idleSince: number
}

/**
 * Sees that there is always room for a newcomer: when few places are left, those leave that make no
 * use of theirs. A listed peer is asked for its advert again and again, so it never stands idle; whom
 * this peer does not list may.
 */
export class Places {
  readonly #components: PlacesComponents
  readonly #guests = new Map<string, Guest>()
  #cancelLook: (() => void) | undefined
  #stopped = false

  constructor(components: PlacesComponents) {
    this.#components = components
  }

  changed({ peerId, connected }: ConnectionEvent): void {
    if (!connected) {
      this.#guests.delete(peerId)
      return
    }
    this.#guests.set(peerId, { streams: 0, idleSince: this.#components.clock.elapsed() })
    this.#lookSoon()
  }

  /** A stream is open with it, until it has ended. */
  used(peerId: string, ended: AbortSignal): void {
    const guest = this.#guests.get(peerId)
    if (guest === undefined || ended.aborted) return
    guest.streams++
    const onEnd = () => {
      guest.streams--
      guest.idleSince = this.#components.clock.elapsed()
    }
    ended.addEventListener('abort', onEnd, { once: true })
  }

  stop(): void {
    this.#stopped = true
    this.#cancelLook?.()
  }

  get #excess(): number {
    return this.#components.taken() - limits.takenMax
  }

  #lookSoon(): void {
    if (this.#stopped || this.#cancelLook !== undefined || this.#excess <= 0) return
    this.#cancelLook = this.#components.clock.after(limits.lookEveryMs, () => {
      this.#cancelLook = undefined
      this.#look()
      this.#lookSoon()
    })
  }

  #look(): void {
    const { clock, isKept, letGo, logger, taken } = this.#components
    const since = clock.elapsed() - idleMsWith(taken(), connectionLimits.connectionsMax)
    const idle = [...this.#guests]
      .filter(([id, guest]) => !isKept(id) && guest.streams === 0 && guest.idleSince <= since)
      .sort(([, a], [, b]) => a.idleSince - b.idleSince)
    for (const [peerId] of idle.slice(0, Math.max(0, this.#excess))) {
      logger.debug('connection ended to have room', { peerId })
      letGo(peerId).catch((error: unknown) => {
        logger.debug('a connection did not end', { peerId, error: messageOf(error) })
      })
    }
  }
}
