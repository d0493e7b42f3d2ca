/** What the peer needs of a network. libp2p stands behind it, or a simulation. */
export interface Network {
  status(): NetworkStatus
  start(options: { signal: AbortSignal }): Promise<void>
  stop(): Promise<void>
}

export interface NetworkStatus {
  peerId: string
  /** Multiaddrs that others can dial, each ending in `/p2p/<peer id>`. Empty before `start`. */
  addrs: string[]
  /** Peers with an open connection. */
  connections: number
  listening: boolean
}
