import { BlockList, type IPVersion } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { machineOf } from '../net-of.ts'
import { connectionLimits } from './limits.ts'
import { Rates } from './rates.ts'

/**
 * Lets each machine in as often as it may come. libp2p counts by address, of which a machine with
 * IPv6 has more than there are in all of IPv4; and it counts late. As the block list of the listening
 * socket this closes what comes too often before anything is made of it.
 */
export class Doorkeeper extends BlockList {
  readonly #comes: Rates

  constructor(clock: Clock) {
    super()
    this.#comes = new Rates(clock)
  }

  /** Whether the connection that has just come from there is to be closed. */
  override check(address: unknown, family?: IPVersion): boolean {
    const machine = machineOf(`/${family === 'ipv6' ? 'ip6' : 'ip4'}/${address}`) ?? ''
    return !this.#comes.take(machine, connectionLimits.inbound).ok
  }
}
