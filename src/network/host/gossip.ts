import { type GossipSub, type GossipSubComponents, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { createTopicScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import type { Clock } from '../../base/clock.ts'
import type { GossipGate } from './gossip-gate.ts'
import { guardGossip } from './gossip-guard.ts'
import { GOSSIP_VERSION, withGossipPrefix } from './gossip-ids.ts'
import { mendStreams } from './gossip-streams.ts'
import { gossipLimits } from './limits.ts'

const MINUTE_MS = 60_000

export interface GossipOptions {
  /** `/pinaivu/<network>` */
  prefix: string
  /** Whole names; a subscription to another is dropped. */
  topics: readonly string[]
  /** What a peer is thought of elsewhere: zero, or less for each of its recent faults. */
  standing(peerId: string): number
  gate: GossipGate
  clock: Clock
}

export function gossip({ prefix, topics, standing, gate, clock }: GossipOptions) {
  const create = gossipsub({
    globalSignaturePolicy: 'StrictSign',
    // Floodsub has neither scores nor a mesh: who speaks only that is not one of ours.
    fallbackToFloodsub: false,
    emitSelf: false,
    doPX: false,
    allowPublishToZeroTopicPeers: true,
    // To every subscriber that is connected, and not to a few that may be an attacker's.
    floodPublish: true,
    // Otherwise what is to be said to the first of them alone is said to all that come after it.
    batchPublish: true,
    gossipsubIWantFollowupMs: gossipLimits.promiseMs,
    allowedTopics: [...topics],
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: gossipLimits.rpcBytesMax,
    maxOutboundBufferSize: gossipLimits.outboundBufferBytesMax,
    maxTopicBytesPerPeer: gossipLimits.topicBytesPerPeerMax,
    decodeRpcLimits: {
      maxSubscriptions: gossipLimits.subscriptionsMax,
      maxMessages: gossipLimits.messagesMax,
      maxIhaveMessageIDs: gossipLimits.messageIdsMax,
      maxIwantMessageIDs: gossipLimits.messageIdsMax,
      maxIdontwantMessageIDs: gossipLimits.idontwantIdsMax,
      maxControlMessages: gossipLimits.controlMessagesMax,
      maxPeerInfos: gossipLimits.peerInfosMax,
    },
    scoreParams: scoreParams(topics, standing),
    scoreThresholds: {
      gossipThreshold: -10,
      publishThreshold: -50,
      graylistThreshold: -80,
      // Both above any score that can be reached: peers are not exchanged (doPX), see gossipLimits.
      acceptPXThreshold: 1000,
      opportunisticGraftThreshold: 1,
    },
  })
  return (components: GossipSubComponents): GossipSub => {
    const registrar = withGossipPrefix(components.registrar, prefix)
    const pubsub = create({ ...pick(components), registrar })
    pubsub.protocols = [GOSSIP_VERSION]
    guardGossip(pubsub, gate)
    mendStreams(pubsub, clock)
    return pubsub
  }
}

/** The components are a proxy that can't be spread: these are the ones gossipsub declares. */
function pick(components: GossipSubComponents): Omit<GossipSubComponents, 'registrar'> {
  const { privateKey, peerId, peerStore, connectionManager, logger } = components
  return { privateKey, peerId, peerStore, connectionManager, logger }
}

function scoreParams(topics: readonly string[], standing: GossipOptions['standing']) {
  return {
    // Five faults and the peer is banned; with four, nothing it publishes is passed on.
    appSpecificScore: standing,
    appSpecificWeight: 12.5,
    // Peers behind one NAT, and a whole testnet on loopback, share an address: the usual penalty
    // (-5 for the square of those above ten) graylists all of them. Who floods from one address is
    // bounded by the limits on connections instead.
    IPColocationFactorWeight: 0,
    behaviourPenaltyWeight: -10,
    // A few broken promises happen to a peer that restarts or whose messages are pruned in between.
    behaviourPenaltyThreshold: 4,
    behaviourPenaltyDecay: 0.9,
    decayInterval: 1000,
    decayToZero: 0.1,
    // Long enough that leaving and coming back doesn't wash a bad score off.
    retainScore: 10 * MINUTE_MS,
    topicScoreCap: 10,
    topics: Object.fromEntries(topics.map((topic) => [topic, topicScoreParams])),
  }
}

const topicScoreParams = createTopicScoreParams({
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1000,
  timeInMeshCap: 300,
  firstMessageDeliveriesWeight: 0.1,
  firstMessageDeliveriesDecay: 0.9,
  firstMessageDeliveriesCap: 50,
  // A quiet network delivers nothing for hours: that is no fault of the peers in the mesh.
  meshMessageDeliveriesWeight: 0,
  meshFailurePenaltyWeight: 0,
  // By the square: one invalid message is -20, two are graylisted until most of it has decayed.
  invalidMessageDeliveriesWeight: -20,
  invalidMessageDeliveriesDecay: 0.98,
})
