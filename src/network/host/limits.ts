/** Connections. A stranger pays for each of these with nothing but a socket. */
export const connectionLimits = {
  /** About 0.3 MB each with its streams; a peer needs tens, an archive or relay a few hundred. */
  connectionsMax: 300,
  /** Two peers that dial each other at once keep both connections; more is one peer taking slots. */
  connectionsPerPeerMax: 3,
  /**
   * New connections a second from one address. libp2p's 5 cuts off honest peers: those behind one
   * NAT come back together after an outage, and a testnet of 30 starts on one loopback address.
   */
  inboundPerSecondPerHost: 48,
  /** A handshake is three round trips: this is enough for a bad link, and short for one who says nothing. */
  inboundUpgradeMs: 5_000,
  /** More than one address can hold open (48 a second for 5 s), so that one alone can't shut the door. */
  inboundPendingMax: 256,
  /** A look-up asks 10 peers at once; more only waits on the same network. */
  parallelDialsMax: 32,
  dialQueueMax: 256,
  /** An address found in the DHT is anybody's claim. */
  addressesPerPeerMax: 8,
  addressDialMs: 4_000,
  dialMs: 8_000,
  protocolNegotiationMs: 5_000,
  /** A peer that hasn't said who it is by then doesn't belong to this network. */
  identifyMs: 8_000,
  closeMs: 1_000,
  /** A machine at full load answers late, and with its connection every job on it would be lost. */
  pingMs: 10_000,
  /**
   * At once on one connection. The monitor, the DHT and this peer's own measurements ping on their
   * own; with libp2p's 1 they refuse each other, and the monitor takes that for a dead connection.
   */
  pingStreamsMax: 4,
} as const

/** Streams within one connection. */
export const streamLimits = {
  /** A coordinator runs each job in its own stream, a busy one over a hundred on one provider. */
  inboundMax: 256,
  outboundMax: 256,
  /** At 100 ms round trip still 10 MB/s a stream; unread bytes a stranger can make us hold. */
  windowBytesMax: 1024 * 1024,
  /** Twice the window: a sender that keeps to its window never hits it. */
  readBufferBytesMax: 2 * 1024 * 1024,
  /** A writer that ignores back-pressure loses the stream instead of filling the memory. */
  writeBufferBytesMax: 4 * 1024 * 1024,
} as const

/** Gossip, per connected peer. */
export const gossipLimits = {
  /** One RPC. An answer to IWANT carries all that was asked for: some seconds of a busy log. */
  rpcBytesMax: 1024 * 1024,
  outboundBufferBytesMax: 4 * 1024 * 1024,
  /** There are a handful of topics. */
  subscriptionsMax: 16,
  topicBytesPerPeerMax: 16 * 1024,
  messagesMax: 1024,
  /** What an honest sender of gossipsub puts in at most; `rpcBytesMax` is reached at the same point. */
  messageIdsMax: 5000,
  idontwantIdsMax: 512,
  /** One list a topic, and grafts and prunes. */
  controlMessagesMax: 64,
  /** Peer exchange is off: peers are found through the DHT, where a claim is checked by dialling. */
  peerInfosMax: 0,
} as const

/** What others make this peer remember, held in memory: records are announced again and again. */
export const storeLimits = {
  /** Known peers with their addresses, about 1 KB each. */
  peersMax: 4096,
  /** Provider records: one for each model of each peer near this one's place in the DHT. */
  providersMax: 8192,
  /** DHT records kept for others. */
  recordsMax: 2048,
  /** An advert is at most 8 KiB; a known peer with 8 addresses and its signed record less. */
  valueBytesMax: 16 * 1024,
} as const
