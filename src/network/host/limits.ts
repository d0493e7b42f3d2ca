import { uncrowded } from '../crowding.ts'

/** Connections. A stranger pays for each of these with nothing but a socket. */
export const connectionLimits = {
  /** About 0.3 MB each with its streams; a peer needs tens, an archive or relay a few hundred. */
  connectionsMax: 300,
  /** Two peers that dial each other at once keep both connections; more is one peer taking slots. */
  connectionsPerPeerMax: 3,
  /** Fifty peers and more may be behind one address; no machine may take every place there is. */
  connectionsPerMachineMax: 128,
  /**
   * New connections from one machine. libp2p's 5 a second cuts off honest peers: those behind one
   * NAT come back together after an outage, and a testnet of 30 starts on one loopback address. A
   * handshake takes 4 ms of processor time and more: who comes all the time must not take half of it.
   */
  inbound: { perSecond: 24, burst: 64 },
  /** A handshake is three round trips: this is enough for a bad link, and short for one who says nothing. */
  inboundUpgradeMs: 5_000,
  /** More than one machine can hold open (64, and 24 a second for 5 s), so that one alone can't shut the door. */
  inboundPendingMax: 256,
  /** A look-up asks 10 peers at once; more only waits on the same network. */
  parallelDialsMax: 32,
  dialQueueMax: 256,
  /** An address found in the DHT is anybody's claim. */
  addressesPerPeerMax: 8,
  addressDialMs: 4_000,
  dialMs: 8_000,
  /** For the addresses of a peer that is behind a relay too; then through that. */
  besideRelayMs: 1_000,
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

/** Connections that nobody uses, when there are many. */
export const placeLimits = {
  /** The rest is room for those who come. */
  takenMax: uncrowded(connectionLimits.connectionsMax),
  lookEveryMs: 5_000,
} as const

/** Dialling an address where no peer of this network is met. */
export const dialLimits = {
  /** In a row: a peer that restarts is looked for some times, and is to be found right after. */
  failuresMax: 4,
  /** After those, and twice as long after each further one. */
  againMsMin: 1_000,
  againMsMax: 10 * 60_000,
  /** Some 200 bytes each; whoever names more of them has each dialled once in minutes. */
  addressesMax: 4096,
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

/** Frames within one stream. */
export const frameLimits = {
  /** Four of the largest frames; then the other side is told to wait. */
  unreadBytesMax: 256 * 1024,
  /** As much again on the way out; then the writer is told to wait. */
  unsentBytesMax: 256 * 1024,
  /** Frames written in one go are sent in one piece, up to this: what fits into one of noise's. */
  sendBytes: 64 * 1024,
  /** What is there is read at once, and 256 KiB may be 100,000 frames: then it is the others' turn. */
  framesPerTurn: 64,
  /** For the first frame of a stream, and for the rest of one that has begun to arrive. */
  frameMs: 10_000,
  /** One that takes nothing for so long holds up what is written for it: its stream is reset. */
  stallMs: 20_000,
  /** For what was written before `close`. */
  closeMs: 10_000,
  /** After we are done with a stream, for the other side to end its part as well. */
  lingerMs: 10_000,
} as const

/** What a peer may do before it is told off, and for how long it is banned. */
export const conductLimits = {
  /**
   * Streams that one peer opens, whatever they speak: opening one costs this machine about a
   * millisecond. No more than so many are open at once.
   */
  opens: { perSecond: 256, burst: 256 },
  /**
   * The same of one machine, whose peers may be any number. It is twice as much, so that one of them
   * keeps none of its neighbours away; fifty honest ones open a few each second, some ten each when
   * they come.
   */
  opensOfMachine: { perSecond: 512, burst: 512 },
  /** Peers whose points and opens are remembered; beyond it, who was quiet for longest is forgotten. */
  peersMax: 4096,
  /** One point for each fault; half of them are forgotten after so long. */
  pointsHalfLifeMs: 2 * 60_000,
  /** Five faults within a minute are no accident. */
  pointsMax: 4,
  /** The first ban; each further one takes twice as long. */
  banFirstMs: 2 * 60_000,
  banMsMax: 60 * 60_000,
  /** So long after its last ban, a peer starts anew. */
  banForgottenMs: 24 * 60 * 60_000,
  /** Kept on disk, so it is short; beyond it, the ban that ends first is lifted. */
  bansMax: 1024,
} as const

/** Asking the DHT. */
export const dhtLimits = {
  lookupMs: 10_000,
  /** It finds the twenty closest peers first, then tells each. */
  storeMs: 30_000,
  /** Those closest to a key, who are asked to keep what is said under it. */
  closest: 20,
  /** Of one look-up, and of each of those that were asked, of whom a region has a hundred. */
  hintsMax: 64,
  hintsPerSource: 8,
  /** From each part of the DHT that is asked, before all have answered. */
  hintsAtOnce: 8,
  /** Of those who were met on the way to the key; then those closest are all asked, or its region. */
  hintsOnTheWayMax: 8,
  regionAfterMs: 300,
  /** The region is told less often than those closest, and not right at the start. */
  regionFirstMs: 60_000,
  regionEveryMs: 10 * 60_000,
  /** So long nobody is told the same again, but for who comes anew. Restarts apart, they keep it for days. */
  tellAgainMs: 5 * 60_000,
  /** Peers and keys for which it is remembered. */
  toldMax: 4096,
  /** For those closest to a key; who is heard of in between is told without. */
  lookEveryMs: 60_000,
  /** Where the region is the whole network, it has hardly more peers. */
  everybody: 128,
  /** Who looks again and again mostly asks on the way alone. */
  askEveryMs: 60_000,
  /** For which it is remembered when that was. */
  keysMax: 1024,
  /** Of one peer; each is anybody's claim. */
  addressesMax: 8,
  /** Characters of a peer's id and addresses that are worth remembering. */
  claimMax: 1024,
  /** What was heard of a peer so short a time ago is not looked into again, nor read again. */
  newsMs: 60_000,
  /** Peers that answers name all the time; about 2 KB each. */
  remembered: 256,
} as const

/** Gossip, per connected peer. */
export const gossipLimits = {
  /** One RPC: a message has at most 64 KiB, an answer to IWANT as much as `answers` allows. */
  rpcBytesMax: 1024 * 1024,
  /** A neighbour that takes no more loses the stream; three hundred of them must not fill the memory. */
  outboundBufferBytesMax: 1024 * 1024,
  /** After that, and whenever else it is gone, the next one. */
  reopenMs: 5_000,
  /** There are a handful of topics. */
  subscriptionsMax: 16,
  topicBytesPerPeerMax: 16 * 1024,
  messagesMax: 1024,
  /** What an honest sender of gossipsub puts in at most; `rpcBytesMax` is reached at the same point. */
  messageIdsMax: 5000,
  idontwantIdsMax: 512,
  /** One list a topic, and grafts and prunes. */
  controlMessagesMax: 64,
  /** Messages, or RPCs with none: an author of the log sends four a second, and neighbours relay. */
  messages: { perSecond: 256, burst: 512 },
  /** Some dozen full batches of the log a second; what is valid is kept for five seconds. */
  bytes: { perSecond: 2 * 1024 * 1024, burst: 4 * 1024 * 1024 },
  /** What one that missed messages is sent of them; the rest it gets from other neighbours. */
  answers: { perSecond: 512 * 1024, burst: 768 * 1024 },
  /**
   * Messages being checked at once, which may wait for the disk; with what they hold, 4 MiB. More are
   * let go: whoever listens to a topic has another way to what it missed.
   */
  checksMax: 64,
  /** So that no neighbour keeps the others' messages away. */
  checksPerPeerMax: 16,
  checkMs: 5_000,
  /** Until a message that was promised has come and is checked: what is late is held against it. */
  promiseMs: 10_000,
  /** Peer exchange is off: peers are found through the DHT, where a claim is checked by dialling. */
  peerInfosMax: 0,
} as const

/** What others make this peer remember, held in memory: records are announced again and again. */
export const storeLimits = {
  /** Known peers with their addresses, about 1 KB each. */
  peersMax: 4096,
  /** Provider records: one for each model of each peer near this one's place in the DHT. */
  providersMax: 8192,
  /** Whoever looks for a model wants some, and is sent all of them. */
  providersPerKeyMax: 64,
  /** So that no fewer than eight nets fill all. */
  providersPerNetMax: 1024,
  /** DHT records kept for others. */
  recordsMax: 2048,
  /** An advert is at most 8 KiB; a known peer with 8 addresses and its signed record less. */
  valueBytesMax: 16 * 1024,
} as const
