import type { Libp2pEvents, Peer, PeerId, PeerStore } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import { dhtLimits as limits } from './limits.ts'

export interface PeerMemoryComponents {
  peerStore: PeerStore
  events: {
    addEventListener(
      name: 'peer:update',
      listener: (event: Libp2pEvents['peer:update']) => void,
    ): void
  }
  clock: Clock
}

interface Memory {
  peer: Peer
  /** `clock.elapsed()` */
  until: number
}

/**
 * libp2p's store locks, decodes and checks a peer each time that it is asked for it. What was read
 * stays as it is until the store says that it has changed.
 */
export class PeerMemory {
  readonly #components: PeerMemoryComponents
  readonly #peers = new LruMap<string, Memory>(limits.remembered)
  #changes = 0

  constructor(components: PeerMemoryComponents) {
    this.#components = components
    components.events.addEventListener('peer:update', ({ detail }) => {
      this.#changes++
      this.#remember(detail.peer)
    })
  }

  /** As the store's own, for readers that leave it as it is. */
  async get(id: PeerId, options?: Parameters<PeerStore['get']>[1]): Promise<Peer> {
    const { peerStore, clock } = this.#components
    const known = this.#peers.get(id.toString())
    if (known !== undefined && clock.elapsed() < known.until) return known.peer
    const before = this.#changes
    const peer = await peerStore.get(id, options)
    if (this.#changes === before) this.#remember(peer)
    return peer
  }

  /** The same of what it is asked for all the time. */
  readers(): Pick<PeerStore, 'get' | 'getInfo' | 'has'> {
    return {
      get: (id, options) => this.get(id, options),
      getInfo: async (id, options) => {
        const { addresses } = await this.get(id, options)
        return { id, multiaddrs: addresses.map(({ multiaddr }) => multiaddr) }
      },
      has: (id, options) =>
        this.get(id, options).then(
          () => true,
          (error) => {
            if ((error as Error).name === 'NotFoundError') return false
            throw error
          },
        ),
    }
  }

  /**
   * Stands before the store's writers: it does not say when a peer is deleted, and at each stream
   * libp2p has it write down which protocol is spoken, mostly one that is there.
   */
  attend(): void {
    const { peerStore } = this.#components
    const forget = peerStore.delete.bind(peerStore)
    peerStore.delete = async (id, options) => {
      await forget(id, options)
      this.#changes++
      this.#peers.delete(id.toString())
    }
    const merge = peerStore.merge.bind(peerStore)
    peerStore.merge = async (id, data, options) => {
      const { protocols = [], ...others } = data
      if (protocols.length > 0 && Object.keys(others).length === 0) {
        const known = await this.get(id, options).catch(() => undefined)
        if (known !== undefined && protocols.every((each) => known.protocols.includes(each))) {
          return known
        }
      }
      return await merge(id, data, options)
    }
  }

  #remember(peer: Peer): void {
    const until = this.#components.clock.elapsed() + limits.newsMs
    this.#peers.set(peer.id.toString(), { peer, until })
  }
}
