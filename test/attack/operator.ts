import type { Clock } from '../../src/base/clock.ts'
import type { Identity } from '../../src/identity/identity.ts'
import type { Network } from '../../src/network/network.ts'
import type { AdvertModel } from '../../src/wire/advert.ts'
import { frames } from '../market/coordinator-stage.ts'
import type { Line } from '../market/provider-line.ts'
import { HostilePeer } from './hostile-peer.ts'

/** Where somebody's ids come from. */
export interface OperatorParts {
  identity(): Identity
  /** Not started; at this place in the internet, where there are places. */
  network(identity: Identity, ip4: string): Network
  clock: Clock
  /** The network's name. */
  name: string
}

export interface Crowd {
  /** What the n-th says that it serves. */
  modelOf(n: number): AdvertModel
  serve?(line: Line): Promise<void>
  /** Parts of the internet that the operator has. */
  nets?: number
}

const { signal } = new AbortController()
const refuse = async (line: Line) => line.say(frames.refuse('overloaded'))

/** One who has any number of ids, which cost nothing, in a few parts of the internet, which do. */
export class Operator {
  readonly ids: HostilePeer[] = []
  readonly #parts: OperatorParts

  constructor(parts: OperatorParts) {
    this.#parts = parts
  }

  /** One more id, which is there. */
  async id({ modelOf, serve = refuse, nets = 2 }: Crowd): Promise<HostilePeer> {
    const { clock, name } = this.#parts
    const identity = this.#parts.identity()
    const n = this.ids.length
    const network = this.#parts.network(identity, `203.0.${n % nets}.${n % 250}`)
    const parts = { network, identity, clock, name }
    const peer = new HostilePeer(parts, serve, { models: [modelOf(n)] })
    await network.start({ signal })
    this.ids.push(peer)
    return peer
  }

  /** So many fresh ids that connect to a peer, and say what they have; `pause` lets things happen. */
  async surround(
    victim: Network,
    count: number,
    crowd: Crowd,
    pause: () => Promise<void>,
  ): Promise<HostilePeer[]> {
    const came: HostilePeer[] = []
    for (let n = 0; n < count; n++) {
      const peer = await this.id(crowd)
      const { peerId, addrs } = victim.status()
      peer.network.connect(peerId, addrs, { signal }).catch(() => {})
      came.push(peer)
      if (n % 50 === 49) await pause()
    }
    await pause()
    return came
  }
}
