import type { Clock } from '../../../base/clock.ts'
import { PeerError } from '../../../base/errors.ts'
import type { Service } from '../../../base/lifecycle.ts'
import { LruMap } from '../../../base/lru-map.ts'
import type { Metrics } from '../../../base/metrics.ts'
import type { FrameStream, Network } from '../../../network/network.ts'
import { protocols } from '../../../wire/protocols.ts'
import { encodeSyncAnswer } from '../../../wire/sync.ts'
import type { Bars } from '../../feeds/bars.ts'
import type { FeedStore } from '../../feeds/feed-store.ts'
import type { LiveReceipts } from '../../live.ts'
import { Pace } from '../../pace.ts'
import type { HeadIndex } from '../head-index.ts'
import { Answers } from './answers.ts'
import { Conversation } from './conversation.ts'
import { Followers } from './followers.ts'
import { defaultServe, type ServeLimits, syncStreams } from './limits.ts'
import { type SyncMetrics, syncMetrics } from './sync-metrics.ts'

export interface SyncServerComponents {
  network: Pick<Network, 'handle' | 'link'>
  feeds: FeedStore
  index: HeadIndex
  /** Those of the intake: a proof that another peer brings is kept, and they tell of it. */
  bars: Bars
  live: Pick<LiveReceipts, 'get'>
  clock: Clock
  metrics: Metrics
}

/** Peers whose pace is remembered, far more than can be connected. */
const PACES_MAX = 4096

/** `sync/1`, the answering side. Made before the network starts; started after the own log. */
export class SyncServer implements Service {
  readonly #network: SyncServerComponents['network']
  readonly #clock: Clock
  readonly #limits: ServeLimits
  readonly #answers: Answers
  readonly #followers: Followers
  readonly #metrics: SyncMetrics
  readonly #inAll: Pace
  readonly #ofPeers = new LruMap<string, Pace>(PACES_MAX)
  readonly #stopped = new AbortController()
  readonly #conversations = new Set<Promise<void>>()
  /** Streams by the net of whoever opened them. */
  readonly #ofNets = new Map<string, number>()
  #isStarted = false

  constructor(components: SyncServerComponents, limits: Partial<ServeLimits> = {}) {
    this.#network = components.network
    this.#clock = components.clock
    this.#limits = { ...defaultServe, ...limits }
    this.#answers = new Answers(components)
    this.#followers = new Followers(components, this.#limits)
    this.#metrics = syncMetrics(components.metrics)
    this.#inAll = new Pace(components.clock, this.#limits.inAll)
    components.network.handle(protocols.sync, (stream) => this.#handle(stream), syncStreams)
  }

  /** Streams of other peers, and logs that they follow. */
  status(): { streams: number; followed: number } {
    return { streams: this.#conversations.size, followed: this.#followers.followed }
  }

  /** Before that it is not known yet which logs are not to be shown. */
  async start(): Promise<void> {
    this.#isStarted = true
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new PeerError('shutting_down', 'This peer stops. Ask another one.'))
    await Promise.allSettled(this.#conversations)
    this.#followers.stop()
  }

  async #handle(stream: FrameStream): Promise<void> {
    const net = this.#network.link(stream.peerId)?.net ?? 'unknown'
    const ofNet = this.#ofNets.get(net) ?? 0
    const { streamsMax, netStreamsMax } = this.#limits
    const isFull = this.#conversations.size >= streamsMax || ofNet >= netStreamsMax
    if (!this.#isStarted || isFull || this.#stopped.signal.aborted) {
      stream.write(encodeSyncAnswer({ type: 'end', reason: 'busy' }))
      return
    }
    const conversation = this.#converse(stream)
    this.#conversations.add(conversation)
    this.#count(net, 1)
    try {
      await conversation
    } finally {
      this.#conversations.delete(conversation)
      this.#count(net, -1)
    }
  }

  #count(net: string, more: number): void {
    const streams = (this.#ofNets.get(net) ?? 0) + more
    if (streams === 0) this.#ofNets.delete(net)
    else this.#ofNets.set(net, streams)
  }

  async #converse(stream: FrameStream): Promise<void> {
    const components = {
      answers: this.#answers,
      followers: this.#followers,
      clock: this.#clock,
      metrics: this.#metrics,
      paces: [this.#paceOf(stream.peerId), this.#inAll],
    }
    const signal = AbortSignal.any([stream.ended, this.#stopped.signal])
    await new Conversation(stream, components, { limits: this.#limits, signal }).run()
  }

  #paceOf(peerId: string): Pace {
    const pace = this.#ofPeers.get(peerId) ?? new Pace(this.#clock, this.#limits.perPeer)
    this.#ofPeers.set(peerId, pace)
    return pace
  }
}
