import { readFile } from 'node:fs/promises'
import { KeyStore } from './accounts/keys.ts'
import { loadOwnerKey } from './accounts/owner-key.ts'
import { alone } from './alone.ts'
import { healthRoutes } from './api/health.ts'
import { keyRoutes } from './api/keys.ts'
import { PromMetrics } from './api/metrics.ts'
import { chatRoutes } from './api/openai/chat-completions.ts'
import { completionRoutes } from './api/openai/completions.ts'
import { embeddingRoutes } from './api/openai/embeddings.ts'
import { modelRoutes } from './api/openai/models.ts'
import { openApiRoutes } from './api/openapi.ts'
import { pageRoutes } from './api/page.ts'
import { mounted } from './api/route.ts'
import { HttpServer } from './api/server.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { InvalidError, messageOf, PeerError } from './base/errors.ts'
import { type Service, startAll, stopAll } from './base/lifecycle.ts'
import { type Logger, silentLogger } from './base/logger.ts'
import { isLoopback } from './base/loopback.ts'
import { type Random, systemRandom } from './base/random.ts'
import { type Config, environment } from './config.ts'
import { calibrationRows } from './engines/calibration-rows.ts'
import { Catalog } from './engines/catalog.ts'
import type { Engine, ModelStatus } from './engines/engine.ts'
import { engineLauncher } from './engines/llama/child-process.ts'
import { modelIdRows } from './engines/model-ids.ts'
import { findModels } from './engines/model-store.ts'
import type { Identity } from './identity/identity.ts'
import { loadIdentity } from './identity/key-file.ts'
import type { Market } from './market/market.ts'
import { banRows } from './network/host/ban-rows.ts'
import { defaultHost, Libp2pHost } from './network/host/libp2p-host.ts'
import type { Network } from './network/network.ts'
import { removePeerInfo, writePeerInfo } from './peer-file.ts'
import { openStore, type Store } from './storage/store.ts'
import { version } from './version.ts'
import type { Generate } from './wire/chunk.ts'

/** What a test or a simulation may bring in place of the real thing. */
export interface PeerComponents {
  clock: Clock
  random: Random
  logger: Logger
  /** Closed by the peer when it stops. */
  store: Store
  engine: Engine & Service
  network(identity: Identity): Network
}

/** What is known once everything listens. */
export interface PeerReady {
  version: string
  peerId: string
  addrs: string[]
  http: string | null
  apiKey: string
  models: string[]
  roles: string[]
  dataDir: string
  ms: number
}

/** A peer inside this process. */
export interface Peer extends Service {
  /** Resolves when everything listens; models go on loading. Once only. */
  start(options: { signal: AbortSignal }): Promise<void>
  /** Lets running answers end, then lets go of everything. Also while it starts, and after a failure. */
  stop(): Promise<void>
  /** Throws before `start` has resolved. */
  ready(): PeerReady
  models(): ModelStatus[]
  /** Called on every change of a model's state; returns how to end that. */
  onModel(listener: (status: ModelStatus) => void): () => void
  /** The one verb: a job goes down, chunks come up. */
  generate: Generate
}

class LocalPeer implements Peer {
  readonly #parts: Parts
  readonly #config: Config
  readonly #beganAt: number
  #ready: PeerReady | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  readonly #end = new AbortController()

  constructor(parts: Parts, config: Config, beganAt: number) {
    this.#parts = parts
    this.#config = config
    this.#beganAt = beganAt
  }

  async start({ signal }: { signal: AbortSignal }): Promise<void> {
    // Its parts are used up after a stop, and its data folder is free for another peer.
    if (this.#starting !== undefined || this.#stopping !== undefined) {
      throw new PeerError('peer_used', 'A peer is started once. Make another with createPeer.')
    }
    this.#starting = this.#start(AbortSignal.any([signal, this.#end.signal]))
    await this.#starting
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { engine, http, network, identity, ownerKey, clock } = this.#parts
    // The engine's process takes longest to come up, so it is asked first; HTTP answers before libp2p.
    await startAll([engine, ...(http ? [http] : []), network], signal)
    const { dataDir, roles, tls } = this.#config
    const { peerId } = identity
    const address = http === undefined ? null : reachable(http.address())
    const ready: PeerReady = {
      version,
      peerId,
      addrs: network.status().addrs,
      http: address,
      apiKey: ownerKey,
      models: engine.status().map(({ name }) => name),
      roles: [...roles],
      dataDir,
      ms: Math.round(clock.elapsed() - this.#beganAt),
    }
    const certFile = tls?.certFile ?? null
    const info = { version, peerId, pid: process.pid, http: address, certFile }
    await writePeerInfo(dataDir, info).catch((cause: unknown) => {
      const message = `Cannot write peer.json into ${dataDir}: ${messageOf(cause)}.`
      throw new PeerError('data_dir_unwritable', message, { cause })
    })
    this.#ready = ready
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#end.abort()
    // Whoever asked for the start is told how it ended.
    await this.#starting?.catch(() => {})
    const { engine, http, network, keys, store } = this.#parts
    const closing: Service[] = [
      { start: nothing, stop: () => store.close() },
      { start: nothing, stop: () => keys.close() },
      { start: nothing, stop: () => this.#forgetPeerInfo() },
    ]
    await stopAll([...closing, engine, network, ...(http ? [http] : [])])
  }

  ready(): PeerReady {
    if (this.#ready === undefined) throw new PeerError('not_started', 'The peer has not started.')
    return this.#ready
  }

  models(): ModelStatus[] {
    return this.#parts.engine.status()
  }

  onModel(listener: (status: ModelStatus) => void): () => void {
    return this.#parts.engine.onChange(listener)
  }

  generate: Generate = (job, options) => this.#parts.engine.generate(job, options)

  async #forgetPeerInfo(): Promise<void> {
    if (this.#ready !== undefined) await removePeerInfo(this.#config.dataDir, process.pid)
  }
}

/** A server on every address of the machine is shown under one that can be asked. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

interface Parts {
  clock: Clock
  identity: Identity
  ownerKey: string
  store: Store
  keys: KeyStore
  engine: Engine & Service
  network: Network
  http: HttpServer | undefined
}

const nothing = async (): Promise<void> => {}

/** Builds every part in level order. Nothing runs before `start`; `stop` is owed in any case. */
export async function createPeer(
  config: Config,
  components: Partial<PeerComponents> = {},
): Promise<Peer> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = components
  const beganAt = clock.elapsed()
  const base = { clock, random, logger, metrics: new PromMetrics() }
  // First of all: its lock is the data folder's.
  const store = components.store ?? (await openStore(config.dataDir, base))
  try {
    const identity = await loadIdentity(config.dataDir, base)
    const models = await findModels({ models: config.models, demo: config.demo })
    const keys = await KeyStore.open({ ...base, store })
    const ownerKey = await loadOwnerKey(config.dataDir, { keys, random })
    const engine =
      components.engine ??
      new Catalog(
        {
          ...base,
          launch: engineLauncher(base, { env: environment }),
          calibrations: store.table('calibrations', calibrationRows),
          modelIds: store.table('model-ids', modelIdRows),
        },
        {
          models,
          aliases: config.aliases,
          ...(config.slots === undefined ? {} : { slots: config.slots }),
          ...(config.threads === undefined ? {} : { threads: config.threads }),
        },
      )
    const network =
      components.network?.(identity) ??
      new Libp2pHost(
        { ...base, identity, bans: store.table('bans', banRows) },
        {
          ...defaultHost,
          network: config.network,
          listen: config.listen,
          bootstrap: config.bootstrap,
          mdns: config.mdns,
          version,
        },
      )
    const market = alone(engine, identity.peerId, config.region ?? undefined)
    const http = await buildHttp(config, { ...base, keys, engine, market, network })
    return new LocalPeer(
      { clock, identity, ownerKey, store, keys, engine, network, http },
      config,
      beganAt,
    )
  } catch (error) {
    await store.close()
    throw error
  }
}

interface HttpParts {
  clock: Clock
  random: Random
  logger: Logger
  metrics: PromMetrics
  keys: KeyStore
  engine: Engine
  market: Market
  network: Network
}

async function buildHttp(config: Config, parts: HttpParts): Promise<HttpServer | undefined> {
  if (config.http === null) return undefined
  const { host, port } = config.http
  const loopback = isLoopback(host)
  const openai = [
    chatRoutes(parts),
    completionRoutes(parts),
    embeddingRoutes(parts),
    modelRoutes(parts),
  ]
  const routes = [
    // Clients differ in whether the base address they are given ends in /v1.
    ...openai.map((route) => mounted(route, '/v1', [''])),
    mounted(keyRoutes(parts), '/api/v1'),
    healthRoutes({ ...parts, directory: { all: () => [] } }, { version, loopback }),
    openApiRoutes({ version }),
    pageRoutes(),
  ]
  const { insecureHttp, corsOrigins, hostNames } = config
  const tls = config.tls === null ? undefined : await readTls(config.tls)
  return new HttpServer(parts, { host, port, insecureHttp, corsOrigins, hostNames, routes, tls })
}

async function readTls(files: { certFile: string; keyFile: string }) {
  const read = (setting: string, path: string) =>
    readFile(path, 'utf8').catch((error: unknown) => {
      throw new InvalidError(setting, `--${setting}: cannot read ${path}: ${messageOf(error)}.`)
    })
  return {
    certPem: await read('tls-cert', files.certFile),
    keyPem: await read('tls-key', files.keyFile),
  }
}
