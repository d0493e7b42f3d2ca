import type { RPC } from '@chainsafe/libp2p-gossipsub/message'
import type { Clock } from '../../base/clock.ts'
import type { Conduct } from './conduct.ts'
import { gossipLimits as limits } from './limits.ts'
import { Rates } from './rates.ts'

/**
 * Gossipsub takes from each peer as much as the wire brings, checks every signature and keeps what is
 * valid for some seconds. This lets through what an honest neighbour of a busy network sends.
 */
export class GossipGate {
  readonly #messages: Rates
  readonly #bytes: Rates
  readonly #answers: Rates
  readonly #conduct: Conduct

  constructor({ clock, conduct }: { clock: Clock; conduct: Conduct }) {
    this.#messages = new Rates(clock)
    this.#bytes = new Rates(clock)
    this.#answers = new Rates(clock)
    this.#conduct = conduct
  }

  admits(peerId: string, rpc: RPC): boolean {
    const count = this.#messages.take(peerId, limits.messages, Math.max(1, rpc.messages.length))
    const size = this.#bytes.take(peerId, limits.bytes, bytesOf(...rpc.messages))
    if (count.ok && size.ok) return true
    if (count.report || size.report) this.#conduct.fault(peerId, 'penalise', 'a flood of gossip')
    return false
  }

  /** It passed on a message that is not by whoever it says. */
  forged(peerId: string): void {
    this.#conduct.fault(peerId, 'penalise', 'a forged message')
  }

  /**
   * Of the messages that a neighbour asked for, those that it gets. Gossipsub sends all of them in one
   * RPC, however large: an honest neighbour could not take it, and others would steal the bandwidth.
   */
  sendable(peerId: string, asked: readonly RPC.Message[]): RPC.Message[] {
    return asked.filter(
      (message) => this.#answers.take(peerId, limits.answers, bytesOf(message)).ok,
    )
  }
}

function bytesOf(...messages: readonly RPC.Message[]): number {
  return messages.reduce((sum, { data }) => sum + (data?.length ?? 0), 0)
}
