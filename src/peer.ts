import type { FileStore } from './accounts/files/file-store.ts'
import type { KeyStore } from './accounts/keys.ts'
import type { TillComponents } from './accounts/payment.ts'
import type { Webhooks } from './accounts/webhooks/webhooks.ts'
import type { HttpServer } from './api/server.ts'
import type { Clock } from './base/clock.ts'
import { messageOf, PeerError } from './base/errors.ts'
import { type Service, startAll, stopAll } from './base/lifecycle.ts'
import type { Config } from './config/config.ts'
import type { Engine, ModelStatus } from './engines/engine.ts'
import type { Identity } from './identity/identity.ts'
import type { Coordinator } from './market/coordinator.ts'
import type { RemoteDrafters } from './market/draft/remote-drafters.ts'
import type { Provider } from './market/serve/provider.ts'
import type { Discovery } from './network/discovery/discovery.ts'
import type { Network } from './network/network.ts'
import { type PeerInfo, removePeerInfo, writePeerInfo } from './peer-file.ts'
import type { OwnFeed } from './receipts/feeds/own-feed.ts'
import type { Replication } from './receipts/sync/replication.ts'
import { type Reconfigured, reconfigured } from './reconfigure.ts'
import type { Store } from './storage/store.ts'
import { version } from './version.ts'
import type { Generate } from './wire/chunk.ts'

/** What a peer is made of, as far as it starts, stops and shows it. */
export interface Parts {
  clock: Clock
  identity: Identity
  ownerKey: string
  store: Store
  keys: KeyStore
  webhooks: Webhooks
  till: TillComponents
  files: FileStore | undefined
  engine: Engine & Service
  network: Network
  discovery: Discovery
  /** This peer's own. */
  log: OwnFeed
  replication: Replication
  /** Undefined without the role. */
  provider: Provider | undefined
  coordinator: Coordinator
  drafters: RemoteDrafters
  adopt(config: Config): void
  http: HttpServer | undefined
  /** Where other programs of its owner find it. */
  folder: string | undefined
  /** What it serves. */
  modelFiles: readonly string[]
  /** Undefined with an engine that is not its own. */
  unusedGpu: Service | undefined
}

const nothing = async (): Promise<void> => {}

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
  /** Called when another peer is found, and when it has gone; returns how to end that. */
  onPeer(listener: (event: PeerEvent) => void): () => void
  /** Takes over what may change while it runs; says what that was, and what needs a restart. */
  reconfigure(config: Config): Reconfigured
  /** The one verb: a job goes down, chunks come up; from this machine or another peer. */
  generate: Generate
}

export interface PeerEvent {
  id: string
  state: 'found' | 'gone'
}

/** Starts its parts, and stops them in an order in which nobody is cut off. */
export class LocalPeer implements Peer {
  readonly #parts: Parts
  #config: Config
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
    const { engine, log, coordinator, http, network, discovery, provider, replication } =
      this.#parts
    const { unusedGpu } = this.#parts
    const { identity, ownerKey, clock, webhooks } = this.#parts
    // The engine's process takes longest to come up, so it is asked first; HTTP answers before libp2p.
    const served = [unusedGpu, engine, log, coordinator, http]
    const parts = [...served, webhooks, network, provider, replication, discovery]
    await startAll(
      parts.filter((part) => part !== undefined),
      signal,
    )
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
    const { modelFiles: files } = this.#parts
    await this.#tellOwner({ version, peerId, pid: process.pid, http: address, certFile, files })
    this.#ready = ready
  }

  async #tellOwner(info: PeerInfo): Promise<void> {
    const { folder } = this.#parts
    if (folder === undefined) return
    await writePeerInfo(folder, info).catch((cause: unknown) => {
      const message = `Cannot write peer.json into ${folder}: ${messageOf(cause)}.`
      throw new PeerError('data_dir_unwritable', message, { cause })
    })
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#end.abort()
    // Whoever asked for the start is told how it ended.
    await this.#starting?.catch(() => {})
    const { engine, coordinator, http, network, discovery, provider } = this.#parts
    const { log, keys, till, files, store, replication, drafters, webhooks } = this.#parts
    const { unusedGpu } = this.#parts
    const closing: Service[] = [
      { start: nothing, stop: () => store.close() },
      { start: nothing, stop: () => keys.close() },
      { start: nothing, stop: () => till.usage.save() },
      { start: nothing, stop: async () => files?.close() },
      { start: nothing, stop: () => this.#forgetPeerInfo() },
    ]
    // While this peer's own clients get the rest of their answers, no other peer sends new work.
    provider?.drain()
    discovery.drain()
    const ours = [engine, network, drafters, replication, provider, coordinator, http, discovery]
    const parts = [...closing, unusedGpu, webhooks, log, ...ours]
    await stopAll(parts.filter((part) => part !== undefined))
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

  onPeer(listener: (event: PeerEvent) => void): () => void {
    return this.#parts.discovery.onChange(({ peerId, entry, previous }) => {
      if (entry === undefined) listener({ id: peerId, state: 'gone' })
      else if (previous === undefined) listener({ id: peerId, state: 'found' })
    })
  }

  generate: Generate = (job, options) => this.#parts.coordinator.generate(job, options)

  reconfigure(wanted: Config): Reconfigured {
    const { config, ...said } = reconfigured(this.#config, wanted)
    this.#config = config
    if (said.changed.length > 0) {
      this.#parts.adopt(config)
      this.#parts.drafters.adopt(config)
    }
    return said
  }

  async #forgetPeerInfo(): Promise<void> {
    const { folder } = this.#parts
    if (this.#ready !== undefined && folder !== undefined) {
      await removePeerInfo(folder, process.pid)
    }
  }
}

/** A server on every address of the machine is shown under one that can be asked. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}
