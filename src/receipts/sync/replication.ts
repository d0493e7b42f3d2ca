import type { Clock } from '../../base/clock.ts'
import type { Service } from '../../base/lifecycle.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Random } from '../../base/random.ts'
import type { VerifyLater } from '../../identity/verify-native.ts'
import { Background } from '../../network/discovery/background.ts'
import type { Discovery } from '../../network/discovery/discovery.ts'
import type { Network } from '../../network/network.ts'
import type { Store } from '../../storage/store.ts'
import { peerIdOf, publicKeyOf } from '../../wire/peer-id.ts'
import type { Verify } from '../../wire/signed.ts'
import type { FeedStore } from '../feeds/feed-store.ts'
import { Intake, type IntakeLimits } from '../feeds/intake.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'
import { followerRoom } from '../feeds/room.ts'
import type { HeldEntries } from '../held.ts'
import type { LiveReceipts } from '../live.ts'
import type { ReceiptLookup } from '../lookup.ts'
import type { Receipts } from '../view.ts'
import { ArchiveRounds } from './archive-rounds.ts'
import { ArchiveSeeker } from './archive-seeker.ts'
import { Confirmer } from './confirmer.ts'
import { Follower } from './follower.ts'
import { HeadIndex } from './head-index.ts'
import { LogListener } from './log-listener.ts'
import { LogPublisher } from './log-publisher.ts'
import { Mender } from './mender.ts'
import { NetworkReceipts } from './network-receipts.ts'
import { Puller } from './puller.ts'
import { Reconciler } from './reconciler.ts'
import { SyncServer } from './serve/sync-server.ts'
import { Spreader } from './spreader.ts'

export interface ReplicationComponents {
  network: Network
  discovery: Pick<Discovery, 'directory' | 'onChange'>
  /** This peer's own id. */
  self: string
  feeds: FeedStore
  log: OwnFeed
  held: HeldEntries
  live: LiveReceipts
  receipts: ReceiptLookup
  store: Store
  verify: Verify
  verifyLater: VerifyLater
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
}

export interface ReplicationOptions {
  /** The network's name. */
  network: string
  /** Keeps the logs of all. */
  archive: boolean
  /** Keeps those of providers that it may use. */
  follow: boolean
  /** Tells archives of what is new in the own log. */
  publish: boolean
  limits?: Partial<IntakeLimits>
}

interface Part {
  /** Returns how to end it. */
  start(): () => void
}

/**
 * Copies logs from other peers and shows them this peer's. Made before the network starts, as it
 * handles `sync/1`; started after it.
 */
export class Replication implements Service {
  /** Those of other peers are among them. */
  readonly receipts: Receipts
  readonly #index: HeadIndex
  readonly #server: SyncServer
  readonly #intake: Intake
  readonly #background: Background
  readonly #parts: Part[]
  #endings: (() => void)[] = []

  constructor(components: ReplicationComponents, options: ReplicationOptions) {
    const { verify, self, discovery } = components
    const logger = components.logger.child('log')
    const verifying = { network: options.network, verify }
    const background = new Background(logger)
    const { archive, follow, publish, limits } = options
    const { directory } = discovery
    const publicKey = publicKeyOf(self)
    const isThere = (author: Uint8Array) => {
      const peerId = peerIdOf(author)
      return components.network.isConnected(peerId) || directory.get(peerId) !== undefined
    }
    const isFollowed = (author: Uint8Array) => follower.follows(peerIdOf(author))
    const isWanted = archive ? isThere : isFollowed
    const intake = new Intake(
      { ...components, logger, verifying, publicKey, isThere, isWanted },
      { ...(archive ? {} : { ...followerRoom, skipsGaps: true }), ...limits },
    )
    const { bars } = intake
    const index = new HeadIndex({ ...components, bars })
    const base = {
      ...components,
      logger,
      verifying,
      background,
      intake,
      bars,
      index,
      directory,
      publicKey,
    }
    const mender = new Mender(base)
    const puller = new Puller({ ...base, mender })
    const fetching = { ...base, mender, puller }
    const reconciler = new Reconciler(fetching)
    const follower = new Follower(fetching)
    this.#index = index
    this.#server = new SyncServer(base)
    this.#intake = intake
    this.#background = background
    this.receipts = new NetworkReceipts({ ...base, local: components.receipts })
    this.#parts = [
      new Spreader(base),
      new Confirmer(base),
      ...(publish ? [new LogPublisher(base)] : []),
      ...(publish || archive ? [new ArchiveSeeker(base, { archive })] : []),
      ...(archive
        ? [new LogListener(fetching), new ArchiveRounds({ ...fetching, reconciler })]
        : []),
      // An archive has all of them anyway.
      ...(follow && !archive ? [follower] : []),
    ]
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    await this.#index.start({ signal })
    this.#background.run((ending) => this.#begin(ending))
  }

  /** Nobody waits for it: others are told `busy` until then. */
  async #begin(signal: AbortSignal): Promise<void> {
    await this.#index.load({ signal })
    await this.#server.start()
    signal.throwIfAborted()
    this.#endings = this.#parts.map((part) => part.start())
  }

  /** Everything that was taken in is written. */
  async stop(): Promise<void> {
    for (const end of this.#endings.splice(0)) end()
    await this.#background.stop()
    await this.#server.stop()
    await this.#intake.idle()
    await this.#index.stop()
  }
}
