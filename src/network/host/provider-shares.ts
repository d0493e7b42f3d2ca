import { storeLimits as limits } from './limits.ts'

/**
 * Which of the provider records of others go when there are too many: ids cost nothing, so anybody
 * can have any number of them say that they provide a key. Of one key, those of the net with most go
 * first; of all, a net has a share. In either case the one that was said longest ago.
 */
export class ProviderShares {
  readonly #netOf: (peerId: string) => string
  /** Key → record → its net; each the longest ago first. */
  readonly #keys = new Map<string, Map<string, string>>()
  /** Net → records. */
  readonly #nets = new Map<string, Set<string>>()

  constructor(netOf: (peerId: string) => string) {
    this.#netOf = netOf
  }

  /** A record was put; returns the one that is to go for it, if any. */
  put(name: string): string | undefined {
    this.delete(name)
    const { key, peerId } = partsOf(name)
    const net = this.#netOf(peerId)
    const ofKey = this.#keys.get(key) ?? new Map<string, string>()
    this.#keys.set(key, ofKey.set(name, net))
    const ofNet = this.#nets.get(net) ?? new Set()
    this.#nets.set(net, ofNet.add(name))
    const goes =
      ofKey.size > limits.providersPerKeyMax
        ? firstOfMost(ofKey)
        : ofNet.size > limits.providersPerNetMax
          ? ofNet.values().next().value
          : undefined
    if (goes !== undefined) this.delete(goes)
    return goes
  }

  delete(name: string): void {
    const { key } = partsOf(name)
    const ofKey = this.#keys.get(key)
    const net = ofKey?.get(name)
    if (ofKey === undefined || net === undefined) return
    ofKey.delete(name)
    if (ofKey.size === 0) this.#keys.delete(key)
    const ofNet = this.#nets.get(net)
    ofNet?.delete(name)
    if (ofNet?.size === 0) this.#nets.delete(net)
  }
}

function firstOfMost(nets: ReadonlyMap<string, string>): string | undefined {
  const groups = [...Map.groupBy(nets, ([, net]) => net).values()]
  const most = groups.reduce((a, b) => (b.length > a.length ? b : a))
  return most[0]?.[0]
}

/** `/dht/provider/<key>/<peer id>` */
function partsOf(name: string): { key: string; peerId: string } {
  const at = name.lastIndexOf('/')
  return { key: name.slice(0, at), peerId: name.slice(at + 1) }
}
