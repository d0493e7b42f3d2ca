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
  readonly #conduct: Conduct

  constructor({ clock, conduct }: { clock: Clock; conduct: Conduct }) {
    this.#messages = new Rates(clock)
    this.#bytes = new Rates(clock)
    this.#conduct = conduct
  }

  admits(peerId: string, rpc: RPC): boolean {
    let bytes = 0
    for (const { data } of rpc.messages) bytes += data?.length ?? 0
    const count = this.#messages.take(peerId, limits.messages, Math.max(1, rpc.messages.length))
    const size = this.#bytes.take(peerId, limits.bytes, bytes)
    if (count.ok && size.ok) return true
    if (count.report || size.report) this.#conduct.fault(peerId, 'penalise', 'a flood of gossip')
    return false
  }
}
