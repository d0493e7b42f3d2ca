import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type Identify, type IdentifyPush, identify, identifyPush } from '@libp2p/identify'
import type { PeerId, PeerStore } from '@libp2p/interface'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p, type Libp2pOptions } from 'libp2p'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { netOf } from '../net-of.ts'
import { batchedEncrypter, batchedMuxer } from './batching.ts'
import { BoundedDatastore } from './bounded-datastore.ts'
import { cautious, type DialCaution } from './dial-caution.ts'
import { Doorkeeper } from './doorkeeper.ts'
import { gater } from './gater.ts'
import { gossip } from './gossip.ts'
import type { GossipGate } from './gossip-gate.ts'
import { heedNews } from './hearsay.ts'
import { connectionLimits as connections, streamLimits as streams } from './limits.ts'
import type { AutoNatService } from './nat/autonat.ts'
import { facade } from './nat/facade.ts'
import type { NatParts } from './nat/nat-parts.ts'
import { straight } from './nat/straight.ts'
import { PeerMemory } from './peer-memory.ts'
import type { Pings } from './pings.ts'
import type { Records } from './records.ts'

export interface HostServices extends Record<string, unknown> {
  identify: Identify
  identifyPush: IdentifyPush
  ping: Ping
  dht: KadDHT
  pubsub: GossipSub
  autonat: AutoNatService
}

export type HostNode = Libp2p<HostServices>

export interface NodeOptions {
  seed: Uint8Array
  peerId: string
  network: string
  listen: string[]
  topics: readonly string[]
  version: string
  records: Records
  isBanned(peerId: string): boolean
  /** What gossip thinks of a peer beside its own score: zero, or less for its recent faults. */
  standing(peerId: string): number
  gossipGate: GossipGate
  clock: Clock
  caution: DialCaution
  nat: NatParts
  pings: Pings
}

/** The libp2p node, not started. Everything it speaks has the network's name in its protocol id. */
export async function createNode(options: NodeOptions): Promise<HostNode> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.seed)
  const peerId = peerIdFromPrivateKey(privateKey)
  if (peerId.toString() !== options.peerId) {
    throw new PeerError(
      'identity_mismatch',
      `The key file's seed belongs to ${peerId}, its peer id says ${options.peerId}.`,
    )
  }
  // Identify, ping and their kin put the slash in front themselves.
  const protocolPrefix = `pinaivu/${options.network}`
  // It goes to Node's server, which knows more options than libp2p's type does.
  const listenOpts = { blockList: new Doorkeeper(options.clock) } as object
  let node: HostNode | undefined
  const netOfPeer = (id: string) => {
    const link = node?.getConnections().find(({ remotePeer }) => remotePeer.toString() === id)
    return netOf(link?.remoteAddr.toString() ?? '') ?? 'unknown'
  }
  const open = () => node?.getConnections() ?? []
  node = await createLibp2p<HostServices>({
    start: false,
    privateKey,
    nodeInfo: {
      name: 'pinaivu-peer',
      version: options.version,
      userAgent: `pinaivu-peer/${options.version}`,
    },
    addresses: { listen: options.listen, announceFilter: options.nat.announced },
    datastore: new BoundedDatastore(pinned(peerId), netOfPeer),
    connectionGater: {
      ...gater({ ...options, connections: open }),
      ...options.nat.gater(open),
    },
    transports: [
      cautious(options.nat.punching(tcp({ listenOpts })), options.caution),
      options.nat.circuits,
    ],
    connectionEncrypters: [batchedEncrypter(noise())],
    streamMuxers: [batchedMuxer(muxer())],
    connectionManager,
    connectionMonitor: { protocolPrefix, ...connectionMonitor },
    services: {
      // The host runs it on each connection, and closes those that don't answer.
      identify: identify({
        protocolPrefix,
        runOnConnectionOpen: false,
        timeout: connections.identifyMs,
      }),
      identifyPush: identifyPush({ protocolPrefix }),
      ping: options.pings.service({
        protocolPrefix,
        timeout: connections.pingMs,
        maxInboundStreams: connections.pingStreamsMax,
        maxOutboundStreams: connections.pingStreamsMax,
      }),
      dht: dht(options),
      pubsub: gossip({
        prefix: `/${protocolPrefix}`,
        topics: options.topics,
        standing: options.standing,
        gate: options.gossipGate,
        clock: options.clock,
      }),
      ...options.nat.services(options.peerId),
    },
  })
  return node
}

const connectionManager: NonNullable<Libp2pOptions['connectionManager']> = {
  maxConnections: connections.connectionsMax,
  // The doorkeeper has counted them by then, and by machine.
  inboundConnectionThreshold: connections.inboundPendingMax,
  maxIncomingPendingConnections: connections.inboundPendingMax,
  inboundUpgradeTimeout: connections.inboundUpgradeMs,
  maxParallelDials: connections.parallelDialsMax,
  maxDialQueueLength: connections.dialQueueMax,
  maxPeerAddrsToDial: connections.addressesPerPeerMax,
  addressDialTimeout: connections.addressDialMs,
  dialTimeout: connections.dialMs,
  connectionCloseTimeout: connections.closeMs,
  // The DHT has its closest peers dialled again when they have gone: once is enough.
  reconnectRetries: 0,
  inboundStreamProtocolNegotiationTimeout: connections.protocolNegotiationMs,
  outboundStreamProtocolNegotiationTimeout: connections.protocolNegotiationMs,
}

const connectionMonitor: NonNullable<Libp2pOptions['connectionMonitor']> = {
  pingTimeout: { minTimeout: connections.pingMs },
}

function muxer() {
  return yamux({
    maxInboundStreams: streams.inboundMax,
    maxOutboundStreams: streams.outboundMax,
    streamOptions: {
      maxStreamWindowSize: streams.windowBytesMax,
      maxReadBufferLength: streams.readBufferBytesMax,
      maxWriteBufferLength: streams.writeBufferBytesMax,
    },
  })
}

/** This peer's own entry, which identify answers from, and what it told the DHT that it provides. */
function pinned(self: PeerId): (name: string) => boolean {
  const own = `/peers/${self.toCID()}`
  const provided = `/${self}`
  return (name) => name === own || (name.startsWith('/dht/provider/') && name.endsWith(provided))
}

function dht({ network, records, clock }: Pick<NodeOptions, 'network' | 'records' | 'clock'>) {
  const create = kadDHT({
    protocol: `/pinaivu/${network}/kad/1.0.0`,
    clientMode: false,
    // Peers on a LAN and on loopback have private addresses only, and they are to find each other.
    peerInfoMapper: passthroughMapper,
    // A namespace without a validator is refused. libp2p brings one for `pk` along, under which
    // anybody could leave any number of public keys: Ed25519 ids contain theirs, nobody asks for it.
    validators: { ...records.validators(), pk: refuse },
    selectors: records.selectors(),
    routingTableUpdateMaxQueueSize: 1024,
    // Every query waits for the first one, for this peer itself, and that one for a peer to ask.
    initialQuerySelfInterval: 100,
  })
  return (components: Parameters<typeof create>[0]) => {
    const { peerStore, events } = components
    const memory = new PeerMemory({ peerStore, events, clock })
    memory.attend()
    const readers = memory.readers()
    const kad = create(straight(facade(components, { peerStore: facade(peerStore, readers) })))
    tellOfKnown(kad, readers)
    heedNews(kad, clock)
    return kad
  }
}

/** One provider whose addresses were forgotten would have each question about its key fail. */
function tellOfKnown(kad: KadDHT, peers: Pick<PeerStore, 'has'>): void {
  const { providers } = kad as unknown as { providers: ProviderList }
  const all = providers.getProviders.bind(providers)
  providers.getProviders = async (...asked) => {
    const found = await all(...asked)
    const known = await Promise.all(found.map((peer) => peers.has(peer)))
    return found.filter((_, at) => known[at])
  }
}

/** Of kad-dht's own, what is meddled with. */
interface ProviderList {
  getProviders(...asked: unknown[]): Promise<PeerId[]>
}

function refuse(): never {
  throw new PeerError('unknown_namespace', 'Records of this kind are not kept in this network.', {
    action: 'ignore',
  })
}
