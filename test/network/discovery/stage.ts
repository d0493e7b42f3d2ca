import type { LogData } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import { createVerifyNative } from '../../../src/identity/verify-native.ts'
import { ADVERT_RECORD, advertRecordCheck } from '../../../src/network/discovery/advert-record.ts'
import { Discovery } from '../../../src/network/discovery/discovery.ts'
import type { AdvertFacts } from '../../../src/network/discovery/own-advert.ts'
import type { KnownPeer } from '../../../src/network/discovery/peer-cache.ts'
import { MemoryHub } from '../../../src/network/memory/memory-hub.ts'
import type { MemoryNetwork } from '../../../src/network/memory/memory-network.ts'
import type { StreamHandler } from '../../../src/network/network.ts'
import type { Advert, AdvertModel } from '../../../src/wire/advert.ts'
import { decodeAdvertRequest, signAdvert, signDeparture } from '../../../src/wire/advert-codec.ts'
import { cidModelId } from '../../../src/wire/model-id.ts'
import type { ModelLoad } from '../../../src/wire/status.ts'
import { Operator } from '../../attack/operator.ts'
import { FakeClock, skewed } from '../../base/fake-clock.ts'
import { recorder } from '../hosts.ts'

export const NETWORK = 'test'
export const verify = createVerifyNative()

/** What a peer keeps over a restart. */
export class Disk {
  readonly sequences = new Map<string, number>()
  readonly peers = new Map<string, KnownPeer>()
  writes = 0

  sequenceStore() {
    return {
      get: async (peerId: string) => this.sequences.get(peerId),
      put: async (peerId: string, sequence: number) => void this.sequences.set(peerId, sequence),
    }
  }

  peerStore() {
    const { peers } = this
    return {
      async *range(): AsyncGenerator<[string, KnownPeer]> {
        yield* peers
      },
      put: async (peerId: string, known: KnownPeer) => {
        this.writes++
        peers.set(peerId, known)
      },
      del: async (peerId: string) => void peers.delete(peerId),
    }
  }
}

export function model(name: string, fields: Partial<AdvertModel> = {}): AdvertModel {
  const digest = new Uint8Array(32)
  digest.set(new TextEncoder().encode(name).subarray(0, 32))
  return {
    name,
    id: cidModelId(digest),
    kind: 'chat',
    family: 'llama',
    parameters: 1000,
    quant: 'Q8_0',
    contextLength: 4096,
    embeddingLength: 0,
    capabilities: [],
    slots: 4,
    price: { input: 1, output: 2 },
    ...fields,
  }
}

export function facts(models: readonly string[] = [], fields: Partial<AdvertFacts> = {}) {
  return {
    roles: models.length > 0 ? ['provider'] : ['client'],
    hardware: { gpus: [], cpu: 'Test CPU', cpuThreads: 2, ramBytes: 1024, backend: 'cpu' },
    models: models.map((name) => model(name)),
    version: '1.2.3',
    ...fields,
  } satisfies AdvertFacts
}

export function load(name: string, fields: Partial<ModelLoad> = {}): ModelLoad {
  const { id } = model(name)
  return { id, ready: true, slots: 4, running: 0, queued: 0, tokensPerSecond: 0, ...fields }
}

export interface PeerSettings {
  models?: readonly string[]
  disk?: Disk
  rejoin?: boolean
  number?: number
  /** Where it is in the internet. */
  ip4?: string
  /** How far its wall clock is off. */
  skewMs?: number
}

/** A whole peer as far as discovery goes. */
export interface StagePeer {
  peerId: string
  identity: Identity
  network: MemoryNetwork
  discovery: Discovery
  facts: AdvertFacts
  load: ModelLoad[]
  disk: Disk
  lines: { level: string; message: string; data: LogData }[]
  /** The peers that it lists. */
  listed(): string[]
  lists(other: { peerId: string }): boolean
  address(): string
}

/** Peers on a network in memory, under a clock that the test turns. */
export class Stage {
  readonly clock = new FakeClock()
  readonly hub: MemoryHub
  #made = 0

  constructor({ latencyMs = 0 } = {}) {
    this.hub = new MemoryHub({ clock: this.clock, latencyMs })
  }

  identity(number = ++this.#made): Identity {
    const seed = new Uint8Array(32).fill(9)
    new DataView(seed.buffer).setUint32(0, number)
    return identityFromSeed(seed)
  }

  /** Built and started. */
  async peer(settings: PeerSettings = {}): Promise<StagePeer> {
    const { models = [], disk = new Disk(), rejoin = false, number = ++this.#made } = settings
    const ip4 = settings.ip4 === undefined ? {} : { ip4: settings.ip4 }
    const identity = this.identity(number)
    const { peerId } = identity
    const records = { [ADVERT_RECORD]: advertRecordCheck({ network: NETWORK, verify }) }
    const network = this.hub.network(peerId, { records, ...ip4 })
    const { logger, lines } = recorder()
    const peer: Omit<StagePeer, 'discovery'> = {
      peerId,
      identity,
      network,
      facts: facts(models),
      load: models.map((name) => load(name)),
      disk,
      lines,
      listed: () => discovery.directory.all().map((entry) => entry.peerId),
      lists: (other) => discovery.directory.get(other.peerId) !== undefined,
      address: () => network.status().addrs[0] ?? '',
    }
    const discovery = new Discovery(
      {
        network,
        identity,
        verify,
        describe: () => peer.facts,
        load: () => peer.load,
        known: disk.peerStore(),
        sequences: disk.sequenceStore(),
        clock: skewed(this.clock, settings.skewMs ?? 0),
        random: seededRandom(number),
        logger,
        metrics: noMetrics,
      },
      { network: NETWORK, rejoin },
    )
    await network.start({ signal: AbortSignal.timeout(5_000) })
    await discovery.start({ signal: AbortSignal.timeout(5_000) })
    return Object.assign(peer, { discovery })
  }

  /** As the program does it. */
  async stop(peer: StagePeer): Promise<void> {
    const stopping = peer.discovery.stop()
    await this.clock.advance(400)
    await stopping
    await peer.network.stop()
    await this.clock.advance(0)
  }

  /** Connects them, and lets them get to know each other. */
  async connect(from: { network: MemoryNetwork }, to: { network: MemoryNetwork }): Promise<void> {
    const { peerId, addrs } = to.network.status()
    const connecting = from.network.connect(peerId, addrs, { signal: AbortSignal.timeout(5_000) })
    await this.clock.advance(100)
    await connecting
    await this.clock.advance(200)
  }

  /** A peer of the test's own making: it says what it is told to say. */
  async puppet(settings: PuppetSettings = {}): Promise<Puppet> {
    const identity = this.identity(settings.number)
    const puppet = new Puppet(this.hub, identity, settings)
    await puppet.network.start({ signal: AbortSignal.timeout(5_000) })
    return puppet
  }
}

/** Somebody who has as many ids as the test wants, in this network. */
export function operatorOn(stage: Stage): Operator {
  const { hub, clock } = stage
  return new Operator({
    identity: () => stage.identity(),
    network: ({ peerId }, ip4) => hub.network(peerId, { ip4 }),
    ...{ clock, name: NETWORK },
  })
}

export interface PuppetSettings {
  number?: number
  /** Where it is in the internet. */
  ip4?: string
  /** What it does with streams of other protocols. */
  serve?: Record<string, StreamHandler>
}

export class Puppet {
  readonly identity: Identity
  readonly peerId: string
  readonly network: MemoryNetwork
  /** What it answers when it is asked for its advert; undefined: nothing. */
  answer: Uint8Array | undefined
  asked = 0
  /** The departures of others that it was told of. */
  readonly told: Uint8Array[] = []

  constructor(hub: MemoryHub, identity: Identity, { serve = {}, ip4 }: PuppetSettings) {
    this.identity = identity
    this.peerId = identity.peerId
    this.network = hub.network(identity.peerId, ip4 === undefined ? {} : { ip4 })
    const limits = { streamsMax: 100, opensPerSecond: 1000 }
    for (const [name, handler] of Object.entries(serve)) this.network.handle(name, handler, limits)
    this.network.handle(
      'advert/1',
      async (stream) => {
        const frame = await stream.read({ signal: AbortSignal.timeout(5_000) })
        const request = frame && decodeAdvertRequest(frame)
        if (request?.type === 'departure') this.told.push(request.signed)
        if (request?.type !== 'ask') return
        this.asked++
        if (this.answer !== undefined) stream.write(this.answer)
      },
      limits,
    )
  }

  advert(fields: Partial<Advert> = {}): Advert {
    const { peerId } = this
    return { ...facts(['m']), peerId, sequence: 1, ttlS: 60, addresses: [], ...fields }
  }

  signed(fields: Partial<Advert> = {}, { network = NETWORK, by = this.identity } = {}): Uint8Array {
    return signAdvert(this.advert(fields), { network, sign: (message) => by.sign(message) })
  }

  /** Opens a stream, says one thing, and gives what comes back. */
  async say(to: StagePeer, protocol: string, frame: Uint8Array) {
    const signal = AbortSignal.timeout(5_000)
    const stream = await this.network.open(to.peerId, protocol, { signal })
    stream.write(frame)
    await stream.close()
    return await stream.read({ signal })
  }

  departure(sequence: number, by = this.identity): Uint8Array {
    const signing = { network: NETWORK, sign: (message: Uint8Array) => by.sign(message) }
    return signDeparture({ peerId: this.peerId, sequence }, signing)
  }
}
