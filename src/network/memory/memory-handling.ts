import type { Clock } from '../../base/clock.ts'
import { type PeerAction, PeerError } from '../../base/errors.ts'
import type { HandlerLimits, StreamHandler } from '../network.ts'
import type { MemoryStream } from './memory-stream.ts'
import { StreamCounts } from './stream-counts.ts'

export interface MemoryHandlingComponents {
  clock: Clock
  blame(peerId: string, action: PeerAction, reason: string): void
}

/** One protocol as a peer serves it. */
export class MemoryHandling {
  readonly #components: MemoryHandlingComponents
  readonly #handler: StreamHandler
  readonly #limits: HandlerLimits
  readonly #counts: StreamCounts

  constructor(components: MemoryHandlingComponents, handler: StreamHandler, limits: HandlerLimits) {
    this.#components = components
    this.#handler = handler
    this.#limits = limits
    this.#counts = new StreamCounts(components.clock)
  }

  /** Its streams make no use of a connection. */
  get isIdle(): boolean {
    return this.#limits.isIdle === true
  }

  /** A stream that another peer has opened. */
  begin(stream: MemoryStream): void {
    const { peerId, protocol } = stream
    if (this.#counts.tooMany(peerId, this.#limits)) {
      stream.reset(new PeerError('too_many_streams', 'That peer opens too many streams.'))
      this.#components.blame(peerId, 'penalise', `too many ${protocol} streams`)
      return
    }
    void this.#serve(stream)
  }

  async #serve(stream: MemoryStream): Promise<void> {
    const { peerId } = stream
    this.#counts.began(peerId)
    try {
      await this.#handler(stream)
      await stream.close()
    } catch (error) {
      stream.reset(error instanceof Error ? error : new Error(String(error)))
      if (error instanceof PeerError && error.action !== undefined) {
        this.#components.blame(peerId, error.action, error.code)
      }
    } finally {
      this.#counts.ended(peerId)
    }
  }
}
