import type { PeerAction } from '../base/errors.ts'

/** What the peer needs of a network. libp2p stands behind it, or a simulation. */
export interface Network {
  status(): NetworkStatus
  start(options: { signal: AbortSignal }): Promise<void>
  stop(): Promise<void>

  /** Peers of this network with an open connection. */
  connected(): string[]
  isConnected(peerId: string): boolean
  /** Both sides have said who they are by then. Returns how to end that. */
  onConnection(listener: (event: ConnectionEvent) => void): () => void
  /** Called when `status().addrs` may be others than before. Returns how to end that. */
  onAddresses(listener: () => void): () => void
  /**
   * Resolves once a peer of this network answers there; `addresses`, with or without its id, are
   * tried before known ones. The DHT is not asked: that is what `findPeer` is for.
   */
  connect(peerId: string, addresses: readonly string[], options: Wait): Promise<void>
  disconnect(peerId: string): Promise<void>
  /** Round trip of one ping on the open connection, in milliseconds. */
  ping(peerId: string, options: Wait): Promise<number>
  /** When that peer last pinged this one, in the clock's elapsed time; undefined: not that we know. */
  pingedAt(peerId: string): number | undefined
  /** What is known of the connection with this peer; undefined when there is none. */
  link(peerId: string): Link | undefined
  /**
   * Connections to this peer are the last to be closed when there are too many; as long as anybody
   * who wanted that wants it still.
   */
  keep(peerId: string, wanted: boolean): void

  /**
   * A new stream, over a connection that is there or is made. `protocol` such as `generate/1`; one
   * that the other side does not speak fails with `unsupported_protocol`. One that is `lasting` ends
   * when there is a better connection, to be opened again on that.
   */
  open(
    peerId: string,
    protocol: string,
    options: Wait & { lasting?: boolean },
  ): Promise<FrameStream>
  /**
   * Before `start`. Each stream that another peer opens is given to the handler. When that returns,
   * our part ends; when it throws, the stream is reset, and an error with an action is a fault.
   */
  handle(protocol: string, handler: StreamHandler, limits: HandlerLimits): void
  /** Says of a peer what its input deserves; one that does it again and again is banned for a while. */
  fault(peerId: string, action: PeerAction, reason: string): void

  /**
   * Tells whoever listens to `topic`, such as `log/1`; this peer need not listen itself. Best effort:
   * perhaps nobody hears it. 1 to FRAME_BYTES_MAX bytes, not copied, so not to be changed any more.
   */
  publish(topic: string, message: Uint8Array): Promise<void>
  /**
   * Listens to `topic`, once at a time; before `start`, from then on. What others say there goes to
   * `check`, and what that keeps is passed on. Returns how to end that.
   */
  subscribe(topic: string, check: MessageCheck): () => void

  /**
   * Tells the DHT that this peer has what `key` names, any bytes, from then on until a restart.
   * Everything that needs the DHT fails with `alone` while no peer is connected.
   */
  provide(key: Uint8Array, options: Wait): Promise<void>
  unprovide(key: Uint8Array): Promise<void>
  /**
   * Who said so, this peer excepted; hints only. `wide` asks many more than those closest to the key,
   * who may all be somebody's that wants to be the only one.
   */
  findProviders(key: Uint8Array, options: Wait & { wide?: boolean }): AsyncIterable<PeerHint>
  /** Keeps a record of this peer in the DHT; fails with `not_stored` when nobody has taken it. */
  putRecord(kind: string, value: Uint8Array, options: Wait): Promise<void>
  /** Any record of that peer that the DHT still has: perhaps an old one. */
  getRecord(kind: string, peerId: string, options: Wait): Promise<Uint8Array | undefined>
  /** Where that peer was seen last, by those close to it in the DHT; without its id, perhaps none. */
  findPeer(peerId: string, options: Wait): Promise<string[]>
}

export interface Wait {
  signal: AbortSignal
}

export interface NetworkStatus {
  peerId: string
  /** Multiaddrs that others can dial, each ending in `/p2p/<peer id>`. Empty before `start`. */
  addrs: string[]
  /** Peers with an open connection. */
  connections: number
  listening: boolean
  /** Undefined where there is no NAT to be behind, and before `start`. */
  nat?: NatStatus
}

export interface NatStatus {
  /** Whether peers anywhere can dial this one, or only through relays. */
  verdict: 'public' | 'private' | 'unknown'
  /** Ids of those. */
  relays: string[]
}

export interface ConnectionEvent {
  peerId: string
  connected: boolean
}

export interface Link {
  /** The part of the internet where the other side is, as `netOf` says it. */
  net: string
  /** By this peer. Whoever comes by itself can have come in order to surround it. */
  dialled: boolean
}

export interface PeerHint {
  peerId: string
  /** Multiaddrs without the peer id. */
  addresses: string[]
}

/** One stream of frames, each at most FRAME_BYTES_MAX, with back-pressure both ways. */
export interface FrameStream {
  readonly peerId: string
  /** The next frame; undefined once the other side has ended its part. Throws when it was reset. */
  read(options: Wait): Promise<Uint8Array | undefined>
  /**
   * Never waits: what is written in one go is sent together, right after. The frame is not copied,
   * so it must not be changed any more. Who writes much waits for `writable` in between.
   */
  write(frame: Uint8Array): void
  /** Resolves when more may be written without piling up; throws when the stream is gone. */
  writable(options: Wait): Promise<void>
  /** Ends our part; what was written still arrives. */
  close(): Promise<void>
  /** Ends both parts at once; what was written may be lost. */
  reset(reason: Error): void
  /** Aborted when the stream has ended in any way. */
  readonly ended: AbortSignal
}

/** What another peer has published. */
export interface TopicMessage {
  /** Who has signed it: not always whom it came from. */
  readonly from: string
  readonly data: Uint8Array
}

/**
 * Takes a message, and says whether it is passed on. An error with an action is a fault of the
 * neighbour that passed it on: only for what each peer would see in it, whatever it knows. With any
 * other error, and where too many are being checked or one takes too long, it is ignored.
 */
export type MessageCheck = (message: TopicMessage, options: Wait) => Promise<'keep' | 'ignore'>

export type StreamHandler = (stream: FrameStream) => Promise<void>

export interface HandlerLimits {
  /** At once from one peer. */
  streamsMax: number
  /** Streams a second that one peer may open, after a burst of as many. */
  opensPerSecond: number
  /** Who opens only such streams makes no use of its connection: it may be ended to have room. */
  isIdle?: boolean
}

/**
 * Judges a record of the DHT before it is kept for others: throws for what must not be, and returns
 * its sequence. Of two the higher is the newer, and an older one is never taken in its place.
 */
export type RecordCheck = (peerId: string, value: Uint8Array) => number | Promise<number>
