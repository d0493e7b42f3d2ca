import {
  ADVERT_RECORD,
  advertRecordCheck,
  createPeer,
  type Identity,
  type MemoryHub,
  type MemoryNetwork,
  type Network,
  openStoreOn,
  type Peer,
  readConfig,
  type Store,
  type Verify,
} from '../../src/simulation.ts'
import type { Dice } from './dice.ts'
import { Disk } from './disk.ts'
import { hostileNetwork } from './hostile.ts'
import { simLogger } from './logger.ts'
import { PeerClock } from './peer-clock.ts'
import type { PeerPlan } from './plan.ts'
import { ScriptedEngine } from './scripted-engine.ts'
import type { Trace } from './trace.ts'
import type { Verdicts } from './verdicts.ts'
import { newerVersion, olderVersion } from './versions.ts'
import type { World } from './world.ts'

export const NETWORK = 'sim'
/** As a libp2p host takes. */
const CONNECTIONS_MAX = 300
/** Of those that Kademlia asks, some answer; it keeps their connections. */
const MET_ON_LOOK_UP = 3
const PORT = 7463

export interface Surroundings {
  world: World
  hub: MemoryHub
  trace: Trace
  verdicts: Verdicts
  verify: Verify
  /** Multiaddrs of the peers that all others know. */
  doors: readonly string[]
  /** Hears of whom a peer lists, and does not list any more. */
  onListed(by: SimPeer, peerId: string, isListed: boolean): void
  /** Its process has ended. */
  onDown(peer: SimPeer): void
}

/** From one start of a peer to its end. */
export interface Life {
  clock: PeerClock
  network: MemoryNetwork
  engine: ScriptedEngine
  store: Store
  peer: Peer
}

/** One peer over all its lives: what stays is its key and its disk. */
export class SimPeer {
  readonly plan: PeerPlan
  readonly identity: Identity
  readonly disk = new Disk()
  readonly #surroundings: Surroundings
  readonly #dice: Dice
  #life: Partial<Life> = {}
  #lives = 0
  #skewMs: number
  #endSilence: (() => void) | undefined
  /** When its last life ended, or the one it has began. */
  changedAt = 0
  state: 'down' | 'starting' | 'up' | 'frozen' | 'leaving' = 'down'

  constructor(plan: PeerPlan, identity: Identity, dice: Dice, surroundings: Surroundings) {
    this.plan = plan
    this.identity = identity
    this.#dice = dice
    this.#surroundings = surroundings
    this.#skewMs = plan.skewMs
    this.disk.syncMs = plan.syncMs
  }

  get peerId(): string {
    return this.identity.peerId
  }

  get isHostile(): boolean {
    return this.plan.kind === 'hostile'
  }

  /** The life that it has, where its start is over. */
  get life(): Life | undefined {
    return this.state === 'up' || this.state === 'frozen' ? (this.#life as Life) : undefined
  }

  get clock(): PeerClock | undefined {
    return this.#life.clock
  }

  /** Where a stranger can dial it. */
  get address(): string {
    return `/ip4/${this.plan.ip4}/tcp/${PORT}/p2p/${this.peerId}`
  }

  /** Resolves once everything listens; never where its life ends before that. */
  async start(): Promise<void> {
    if (this.state !== 'down') return
    const { world, verdicts } = this.#surroundings
    this.#become('starting')
    const clock = new PeerClock(world, this.#skewMs)
    const life: Partial<Life> = { clock }
    this.#life = life
    try {
      await this.#begin(clock, life)
      this.#become('up')
    } catch (error) {
      verdicts.broken('peers come back', `${this} did not start: ${stackOf(error)}`)
    }
  }

  /** The process is killed; with its machine, the others are not told, and the disk loses a bit. */
  async end({ isMachine = false } = {}): Promise<void> {
    if (this.state === 'down') return
    const { hub } = this.#surroundings
    this.#life.clock?.end()
    if (isMachine) hub.unplug(this.peerId)
    else hub.kill(this.peerId)
    this.#endSilence?.()
    this.#endSilence = undefined
    this.#life = {}
    this.#become('down')
    await this.disk.crash(this.#dice, { isMachine })
  }

  /** As after a Ctrl-C. */
  async leave(): Promise<void> {
    if (this.state !== 'up') return
    const life = this.#life
    this.#become('leaving')
    await life.peer?.stop().catch((error: unknown) => {
      this.#surroundings.verdicts.broken('nothing fails unheard', `stop: ${stackOf(error)}`)
    })
    if (this.#life !== life) return
    life.clock?.end()
    this.#life = {}
    this.#become('down')
  }

  freeze(): void {
    if (this.state !== 'up') return
    this.#become('frozen')
    this.#life.clock?.freeze()
    this.#endSilence = this.#surroundings.hub.freeze(this.peerId)
  }

  thaw(): void {
    if (this.state !== 'frozen') return
    this.#become('up')
    this.#life.clock?.thaw()
    this.#endSilence?.()
    this.#endSilence = undefined
  }

  /** Its wall clock is set. */
  setClock(skewMs: number): void {
    this.#skewMs = skewMs
    this.#life.clock?.set(skewMs)
  }

  toString(): string {
    return `peer ${this.plan.number}`
  }

  async #begin(clock: PeerClock, life: Partial<Life>): Promise<void> {
    const { hub, trace, verdicts, verify, doors, onListed } = this.#surroundings
    const { plan, identity } = this
    const random = this.#dice.of(`life ${++this.#lives}`)
    const logger = simLogger(`${this}`, { trace, verdicts })
    const network = hub.network(this.peerId, {
      records: { [ADVERT_RECORD]: advertRecordCheck({ network: NETWORK, verify }) },
      ...{ ip4: plan.ip4, port: PORT, clock, bootstrap: doors },
      ...{ connectionsMax: CONNECTIONS_MAX, metOnLookUp: MET_ON_LOOK_UP },
    })
    const engine = new ScriptedEngine(clock, plan.models, plan.speed)
    const store = await openStoreOn(this.disk.open(clock), { logger })
    const peer = await createPeer(this.#config(), {
      ...{ clock, random, logger, store, identity, engine, verify },
      verifyLater: async (...args) => verify(...args),
      network: () => ofKind(network, plan.kind, this.#dice),
    })
    Object.assign(life, { network, engine, store, peer })
    peer.onPeer(({ id, state }) => onListed(this, id, state === 'found'))
    await peer.start({ signal: new AbortController().signal })
  }

  #config() {
    const { roles, price, region } = this.plan
    return readConfig({
      flags: {
        ...{ 'no-http': true, 'no-demo': true, network: NETWORK, region },
        roles: roles.join(','),
        price: `${price.input}/${price.output}`,
        bootstrap: this.#surroundings.doors,
      },
      ...{ env: {}, readFile: () => undefined, platform: 'linux', home: '/', cwd: '/' },
    })
  }

  #become(state: SimPeer['state']): void {
    const { world, trace } = this.#surroundings
    this.state = state
    this.changedAt = world.now
    trace.event(`${this} ${state}`)
    if (state === 'down') this.#surroundings.onDown(this)
  }
}

function ofKind(network: MemoryNetwork, kind: PeerPlan['kind'], dice: Dice): Network {
  switch (kind) {
    case 'usual':
      return network
    case 'older':
      return olderVersion(network)
    case 'newer':
      return newerVersion(network)
    case 'hostile':
      return hostileNetwork(network, dice.of('lies'))
  }
}

export const stackOf = (error: unknown): string =>
  error instanceof Error ? `${error.stack}` : String(error)
