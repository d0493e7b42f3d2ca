import { PromMetrics } from './api/metrics.ts'
import { finishRestore } from './backup/swap.ts'
import { type Clock, systemClock } from './base/clock.ts'
import type { Service } from './base/lifecycle.ts'
import { type Logger, silentLogger } from './base/logger.ts'
import { type Metrics, noMetrics } from './base/metrics.ts'
import { type Random, systemRandom } from './base/random.ts'
import { type Config, environment } from './config/config.ts'
import { advertModel, modelLoad } from './engines/advert-facts.ts'
import { calibrationRows } from './engines/calibration-rows.ts'
import { Catalog } from './engines/catalog.ts'
import type { Engine } from './engines/engine.ts'
import { joined } from './engines/joined.ts'
import { engineLauncher } from './engines/llama/child-process.ts'
import { modelIdRows } from './engines/model-ids.ts'
import { findModels, type ModelFile } from './engines/model-store.ts'
import { givenNamesRows } from './engines/upstream/given-names.ts'
import { UpstreamEngine } from './engines/upstream/upstream-engine.ts'
import type { Identity } from './identity/identity.ts'
import { loadIdentity } from './identity/key-file.ts'
import {
  createVerifyLater,
  createVerifyNative,
  type VerifyLater,
} from './identity/verify-native.ts'
import { Books } from './market/books.ts'
import { Coordinator } from './market/coordinator.ts'
import { RemoteDrafters } from './market/draft/remote-drafters.ts'
import { Owed } from './market/owed.ts'
import { Provider } from './market/serve/provider.ts'
import { ADVERT_RECORD, advertRecordCheck } from './network/discovery/advert-record.ts'
import { Discovery } from './network/discovery/discovery.ts'
import type { AdvertFacts } from './network/discovery/own-advert.ts'
import { knownPeerRows, sequenceRows } from './network/discovery/peer-cache-rows.ts'
import { banRows } from './network/host/ban-rows.ts'
import { defaultHost, Libp2pHost } from './network/host/libp2p-host.ts'
import type { Network } from './network/network.ts'
import { type Accounts, openAccounts } from './node-accounts.ts'
import { buildHttp } from './node-http.ts'
import { OwnModels } from './own-models.ts'
import { LocalPeer, type Peer } from './peer.ts'
import { FeedStore } from './receipts/feeds/feed-store.ts'
import { OwnFeed } from './receipts/feeds/own-feed.ts'
import { HeldEntries } from './receipts/held.ts'
import { LiveReceipts } from './receipts/live.ts'
import { ReceiptLookup } from './receipts/lookup.ts'
import { RequestIndex } from './receipts/requests.ts'
import { Replication } from './receipts/sync/replication.ts'
import { openStore, type Store } from './storage/store.ts'
import { UnusedGpu } from './unused-gpu.ts'
import { version } from './version.ts'
import type { FindDrafting } from './wire/drafter.ts'
import type { Verify } from './wire/signed.ts'
import type { ModelLoad } from './wire/status.ts'

/** What a test or a simulation may bring in place of the real thing. */
export interface PeerComponents {
  clock: Clock
  random: Random
  logger: Logger
  /** Closed by the peer when it stops. */
  store: Store
  /** With it the peer has no data folder, and needs a store as well. */
  identity: Identity
  verify: Verify
  verifyLater: VerifyLater
  engine: Engine & Service
  network(identity: Identity): Network
}

export interface Base {
  clock: Clock
  random: Random
  logger: Logger
  metrics: Metrics
  verify: Verify
  verifyLater: VerifyLater
}

/** What every part above the engines is given. */
export interface Ground extends Base, Accounts {
  config: Config
  identity: Identity
  store: Store
  engine: Engine & Service
  network: Network
}

/** Builds every part in level order. Nothing runs before `start`; `stop` is owed in any case. */
export async function createPeer(
  config: Config,
  components: Partial<PeerComponents> = {},
): Promise<Peer> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = components
  const { verify = createVerifyNative(), verifyLater = createVerifyLater() } = components
  const beganAt = clock.elapsed()
  // Over HTTP alone can they be read.
  const prom = config.http === null ? undefined : new PromMetrics()
  const base = { clock, random, logger, verify, verifyLater, metrics: prom ?? noMetrics }
  if (components.store === undefined) await finishRestore(config.dataDir)
  // First of all: its lock is the data folder's.
  const store = components.store ?? (await openStore(config.dataDir, base))
  try {
    const folder = components.identity === undefined ? config.dataDir : undefined
    const identity = components.identity ?? (await loadIdentity(config.dataDir, base))
    const accounts = await openAccounts({ ...base, store }, config, folder)
    const { ownerKey } = accounts
    const drafting = new DraftingLater()
    const models = components.engine === undefined ? await modelsOf(config, base) : []
    const here = components.engine ?? buildEngine(config, base, { store, drafting, models })
    const engine = withUpstreams(here, config, { ...base, store }, identity)
    const network = components.network?.(identity) ?? buildNetwork(config, base, store, identity)
    const ground: Ground = { ...base, config, identity, store, ...accounts, engine, network }
    const proof = buildProof(ground)
    const peers = buildPeers(ground, proof)
    const drafters = buildDrafters(ground, proof, peers)
    drafting.drafters = drafters
    const replication = buildReplication(ground, proof, peers)
    const http = await buildHttp({ ...ground, prom, folder }, peers, { ...proof, replication })
    const modelFiles = models.flatMap(({ path, draft }) => [path, draft ?? []].flat())
    // What a test brings in place of the engine computes with nothing.
    const own = components.engine === undefined
    const unusedGpu = own ? new UnusedGpu({ ...base, engine, env: environment }) : undefined
    const more = { drafters, replication, ownerKey, http, folder, modelFiles, unusedGpu }
    const parts = { ...ground, ...proof, ...peers, ...more }
    return new LocalPeer(parts, config, beganAt)
  } catch (error) {
    await store.close()
    throw error
  }
}

/** On this machine: what is elsewhere was fetched before, or is not served. */
async function modelsOf(config: Config, { clock }: Base): Promise<ModelFile[]> {
  const located = await new OwnModels(config, { clock }).ofConfig(config)
  return await findModels({ ...located, demo: config.demo })
}

function buildEngine(
  config: Config,
  base: Base,
  given: { store: Store; drafting: DraftingLater; models: readonly ModelFile[] },
): Catalog {
  const { store, drafting, models } = given
  const { guesses, slots, threads, reproducible, modelMemory, modelIdle } = config
  return new Catalog(
    {
      ...base,
      launch: engineLauncher(base, { env: environment }),
      calibrations: store.table('calibrations', calibrationRows),
      modelIds: store.table('model-ids', modelIdRows),
      findDrafting: drafting.find,
    },
    {
      models,
      reproducible,
      residence: { memoryBytes: modelMemory, idleMs: modelIdle },
      ...(modelMemory === undefined ? {} : { memoryMax: modelMemory }),
      ...(slots === undefined ? {} : { slots }),
      ...(threads === undefined ? {} : { threads }),
      ...(guesses ? {} : { window: 0 }),
    },
  )
}

function withUpstreams(
  own: Engine & Service,
  config: Config,
  { store, ...base }: Base & { store: Store },
  identity: Identity,
): Engine & Service {
  const { upstreams, slots } = config
  if (upstreams.length === 0) return own
  const { peerId } = identity
  const secret = identity.secretFor('upstream-cache')
  const names = store.table('upstream-names', givenNamesRows)
  return joined(own, new UpstreamEngine({ ...base, names }, { upstreams, slots, peerId, secret }))
}

function buildNetwork(config: Config, base: Base, store: Store, identity: Identity): Network {
  const { network, listen, bootstrap, mdns } = config
  const relay = config.roles.includes('relay')
  const advert = advertRecordCheck({ network, verify: base.verify })
  return new Libp2pHost(
    { ...base, identity, bans: store.table('bans', banRows) },
    {
      ...{ ...defaultHost, network, listen, bootstrap, mdns, relay, version },
      records: { [ADVERT_RECORD]: advert },
    },
  )
}

/** What a peer says of work that was done, and keeps of it. */
export interface Proof {
  feeds: FeedStore
  log: OwnFeed
  live: LiveReceipts
  held: HeldEntries
  requests: RequestIndex
  receipts: ReceiptLookup
  books: Books
}

function buildProof(ground: Ground): Proof {
  const { config, identity, verify } = ground
  const { publicKey } = identity
  const { network } = config
  const signing = { network, sign: (message: Uint8Array) => identity.sign(message) }
  const feeds = new FeedStore(ground)
  const log = new OwnFeed({ ...ground, feeds, publicKey, signing, verify })
  const live = new LiveReceipts(ground)
  const held = new HeldEntries(ground)
  const requests = new RequestIndex(ground)
  const receipts = new ReceiptLookup({ feeds, live, held, requests, verify }, { network })
  const owed = new Owed(ground)
  const books = new Books({ ...ground, log, live, held, requests, owed }, { network })
  return { feeds, log, live, held, requests, receipts, books }
}

/** Engines come first, and are told later who drafts for them. */
class DraftingLater {
  drafters: RemoteDrafters | undefined
  readonly find: FindDrafting = (...asked) => this.drafters?.find(...asked)
}

/** What makes a single peer one of a network. */
export interface Peers {
  describe(): AdvertFacts
  load(): ModelLoad[]
  discovery: Discovery
  provider: Provider | undefined
  coordinator: Coordinator
  /** Takes over what may change while a peer runs. */
  adopt(config: Config): void
}

function buildPeers(ground: Ground, proof: Proof): Peers {
  const { config, identity, store, engine } = ground
  const { network, region, price, roles, publish, drafters, creditLimit, aliases } = config
  const asked = { price }
  const serves = roles.includes('provider')
  const served = () => (serves ? engine.status() : [])
  const describe = (): AdvertFacts => ({
    roles: [...roles],
    ...(region === undefined ? {} : { region }),
    hardware: engine.hardware(),
    models: served().flatMap((status) => {
      const model = advertModel(status)
      return model === undefined ? [] : [{ ...model, price: asked.price }]
    }),
    version,
  })
  const load = () => served().flatMap((status) => modelLoad(status) ?? [])
  const discovery = new Discovery(
    {
      ...{ ...ground, describe, load },
      known: store.table('known-peers', knownPeerRows),
      sequences: store.table('advert-sequences', sequenceRows),
    },
    // Alone unless told how to join: whoever was known last time is one of those it was told of.
    { network, rejoin: config.bootstrap.length > 0 || config.mdns },
  )
  engine.onChange(() => {
    discovery.changed()
    discovery.loadChanged()
  })
  engine.onLoad(() => discovery.loadChanged())
  const provider = serves
    ? new Provider(
        { ...ground, ...proof },
        { network, price, region, publish, creditLimit, drainMs: config.drain * 1_000 },
      )
    : undefined
  const asks = roles.includes('coordinator')
  const coordinator = new Coordinator(
    {
      ...ground,
      ...proof,
      discovery: asks ? discovery : undefined,
      secret: identity.secretFor('cache-scope'),
    },
    { network, region, price, publish, drafters, aliases },
  )
  const adopt = ({ price, creditLimit, aliases }: Config) => {
    asked.price = price
    provider?.adopt({ price, creditLimit })
    coordinator.adopt({ price, aliases })
    discovery.changed()
  }
  return { describe, load, discovery, provider, coordinator, adopt }
}

function buildDrafters(ground: Ground, proof: Proof, { discovery }: Peers): RemoteDrafters {
  const { identity, config } = ground
  const { directory } = discovery
  const secret = identity.secretFor('cache-scope')
  return new RemoteDrafters({ ...ground, ...proof, directory, secret }, config)
}

/** How what this peer says of work is known to others, and what they say to it. */
function buildReplication(ground: Ground, proof: Proof, { discovery }: Peers): Replication {
  const { config, identity } = ground
  const { network, roles, publish } = config
  const { peerId: self } = identity
  return new Replication(
    { ...ground, ...proof, discovery, self },
    {
      network,
      archive: roles.includes('archive'),
      follow: roles.includes('coordinator'),
      publish: publish === 'receipts',
    },
  )
}
