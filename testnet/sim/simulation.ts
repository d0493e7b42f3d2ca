import { createHash } from 'node:crypto'
import { identityFromSeed, MemoryHub } from '../../src/simulation.ts'
import { Client } from './client.ts'
import { Dice } from './dice.ts'
import { Faults } from './faults.ts'
import { Ghosts } from './ghosts.ts'
import { Links } from './links.ts'
import { LogChecks } from './log-checks.ts'
import { type DiskLogs, logsOf } from './own-logs.ts'
import type { Plan } from './plan.ts'
import type { RequestPlan } from './plan-requests.ts'
import { checkRest, type Leftovers } from './rest-checks.ts'
import { SimPeer, stackOf } from './sim-peer.ts'
import { Trace } from './trace.ts'
import { Verdicts, type Violation } from './verdicts.ts'
import { verifyOnce } from './verify-once.ts'
import { World } from './world.ts'

const WATCH_EVERY_MS = 1_000
/** A peer that has just come back knows few others yet. */
const BACK_MS = 60_000
/** How often whoever waits hears of it, in virtual time. */
const SLICE_MS = 5_000

/** What came of a simulation. */
export interface Outcome {
  /** Of everything that happened, in its order. */
  hash: string
  events: number
  violations: Violation[]
  /** How requests ended → how many. */
  outcomes: Record<string, number>
  tokens: number
  leftovers: Leftovers
  virtualMs: number
  wallMs: number
  rssBytes: number
  /** The last of what happened. */
  lines: string[]
}

export interface SimulateOptions {
  /** Hears now and then how far it is. */
  onProgress?(virtualMs: number): void
}

/** Tells the story of a plan, and watches that nothing happens in it that must not. */
export class Simulation {
  readonly #plan: Plan
  readonly #world = new World()
  readonly #trace = new Trace(() => this.#world.now)
  readonly #verdicts = new Verdicts(() => this.#world.now)
  readonly #links: Links
  readonly #hub: MemoryHub
  readonly #ghosts: Ghosts
  readonly #faults: Faults
  readonly #peers: SimPeer[]
  readonly #clients: Client[] = []
  #rssBytes = 0

  constructor(plan: Plan) {
    this.#plan = plan
    const dice = new Dice(`sim ${plan.options.seed}`)
    const [world, trace, verdicts] = [this.#world, this.#trace, this.#verdicts]
    const links = new Links(dice.of('links'))
    this.#links = links
    this.#hub = new MemoryHub({
      clock: clockOf(world),
      delayMs: links.delayMs,
      random: dice.of('dht'),
      onSent: (from, to, bytes) => trace.bytes(`${links.peer(from)} ${links.peer(to)}`, bytes),
    })
    this.#ghosts = new Ghosts({ world, links, verdicts })
    const doors: string[] = []
    const surroundings = {
      ...{ world, trace, verdicts, doors, hub: this.#hub, verify: verifyOnce() },
      onListed: (by: SimPeer, peerId: string, isListed: boolean) => {
        this.#ghosts.listed(by, peerId, isListed)
      },
      onDown: (peer: SimPeer) => this.#ghosts.forget(peer),
    }
    this.#peers = plan.peers.map((each) => {
      const own = dice.of(`peer ${each.number}`)
      const seed = createHash('sha256').update(`sim ${plan.options.seed} ${each.number}`).digest()
      const identity = identityFromSeed(seed)
      identity.signLater = async (message) => identity.sign(message)
      return new SimPeer(each, identity, own.of('lives'), surroundings)
    })
    for (const peer of this.#peers) links.add(peer)
    this.#faults = new Faults({ world, hub: this.#hub, links, trace, peers: this.#peers })
    doors.push(...this.#peers.slice(0, plan.bootstraps).map(({ address }) => address))
  }

  async run({ onProgress = () => {} }: SimulateOptions = {}): Promise<Outcome> {
    const began = performance.now()
    const unheard = (error: unknown) => {
      this.#verdicts.broken('nothing fails unheard', `unhandled rejection: ${stackOf(error)}`)
    }
    process.on('unhandledRejection', unheard)
    try {
      this.#begin()
      const { end } = this.#plan.times
      for (let at = SLICE_MS; this.#isGood; at += SLICE_MS) {
        await this.#world.run(Math.min(at, end))
        this.#rssBytes = Math.max(this.#rssBytes, process.memoryUsage.rss())
        onProgress(this.#world.now)
        if (at >= end || (await this.#isOver())) break
      }
      const leftovers = await this.#atRest(this.#verdicts)
      return this.#outcome(performance.now() - began, leftovers)
    } finally {
      process.off('unhandledRejection', unheard)
    }
  }

  get #isGood(): boolean {
    return this.#verdicts.violations.length === 0
  }

  #begin(): void {
    const world = this.#world
    const { peers, bootstraps, times, faults, requests } = this.#plan
    for (const [number, peer] of this.#peers.entries()) {
      const isDoor = number < bootstraps
      const at = isDoor ? 0 : 1_000 + ((times.joined - 1_000) * number) / peers.length
      world.after(at, () => void peer.start())
    }
    this.#faults.plan(faults)
    for (const request of requests) world.after(request.at, () => this.#ask(request))
    world.after(WATCH_EVERY_MS, () => this.#watch())
  }

  #ask(request: RequestPlan): void {
    const at = this.#peers[request.peer]
    if (at === undefined || at.state !== 'up' || at.life === undefined) return
    // How it fares with a peer that lies is between the two of them.
    const verdicts = at.isHostile ? new Verdicts(() => this.#world.now) : this.#verdicts
    const client = new Client(request, at, {
      ...{ world: this.#world, trace: this.#trace, verdicts },
      onBegun: (providerId) => {
        const provider = this.#links.peer(providerId)
        if (provider !== undefined) this.#faults.begun(provider)
      },
      onAnswered: (peer) => this.#faults.answered(peer),
      mayBeCut: () => this.#faults.areCablesBad || !this.#canSucceed(request, at),
    })
    if (!at.isHostile) this.#clients.push(client)
    const mustSucceed = request.isCalm && this.#canSucceed(request, at)
    void client.run(at.life.peer).then(() => {
      if (!mustSucceed || client.outcome === 'done' || client.outcome === 'left') return
      verdicts.broken('requests succeed in calm', `${client} at ${at} ended: ${client.outcome}`)
    })
  }

  /** Whether it is there for long enough, and knows somebody who does the job. */
  #canSucceed({ model, maxPrice }: RequestPlan, at: SimPeer): boolean {
    const { now } = this.#world
    const isThere = (peer: SimPeer) => peer.state === 'up' && now - peer.changedAt >= BACK_MS
    const serves = (peer: SimPeer) => {
      if (peer.isHostile) return false
      const { models, price } = peer.plan
      const isAffordable =
        maxPrice === undefined || (price.input <= maxPrice.input && price.output <= maxPrice.output)
      return models.includes(model) && (isAffordable || peer === at)
    }
    return isThere(at) && this.#peers.some((peer) => isThere(peer) && serves(peer))
  }

  #watch(): void {
    for (const client of this.#clients) client.watch()
    this.#lookAtBlame()
    if (this.#isGood) this.#world.after(WATCH_EVERY_MS, () => this.#watch())
  }

  #lookAtBlame(): void {
    for (const { by, peerId, action, reason } of this.#hub.faults.splice(0)) {
      const both = [by, peerId].map((id) => this.#links.peer(id))
      if (action === 'ignore' || both.some((peer) => peer?.isHostile)) continue
      this.#verdicts.broken('no honest peer is blamed', `${both.join(' blames ')}: ${reason}`)
    }
  }

  /** What must be true at the end is true already: nothing more comes. */
  async #isOver(): Promise<boolean> {
    const isEarly = this.#world.now < this.#plan.times.restFrom
    if (isEarly || this.#clients.some(({ outcome }) => outcome === undefined)) return false
    const verdicts = new Verdicts(() => this.#world.now)
    await this.#atRest(verdicts)
    return verdicts.violations.length === 0
  }

  /** All has been calm for long: what must be true now. */
  async #atRest(verdicts: Verdicts): Promise<Leftovers> {
    if (!this.#isGood) return { timersMax: 0, streamsMax: 0 }
    for (const client of this.#clients) client.mustHaveEnded()
    this.#lookAtBlame()
    this.#ghosts.atRest(verdicts)
    const logs = new Map<SimPeer, DiskLogs>()
    for (const peer of this.#peers) logs.set(peer, await logsOf(peer))
    const honest = this.#peers.filter((peer) => !peer.isHostile)
    const checks = new LogChecks(verdicts, this.#links, logs)
    checks.acknowledged(this.#clients)
    checks.prices(honest)
    checks.converged(honest, followedBy)
    return checkRest(honest, verdicts)
  }

  #outcome(wallMs: number, leftovers: Leftovers): Outcome {
    const outcomes: Record<string, number> = {}
    for (const { outcome = 'runs' } of this.#clients) {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    return {
      hash: this.#trace.digest(),
      events: this.#trace.count,
      violations: this.#verdicts.violations,
      outcomes,
      tokens: this.#clients.reduce((sum, { reader }) => sum + reader.received, 0),
      leftovers,
      virtualMs: this.#world.now,
      wallMs,
      rssBytes: this.#rssBytes,
      lines: this.#trace.lastLines(),
    }
  }
}

/** Whose logs are pushed to that peer now. */
function followedBy(peer: SimPeer): Set<string> {
  const streams = peer.life?.network.openStreams() ?? []
  const following = streams.filter(({ protocol, isOwn }) => isOwn && protocol === 'sync/1')
  return new Set(following.map(({ peerId }) => peerId))
}

/** That of no peer in particular. */
const clockOf = (world: World) => ({
  now: () => world.now,
  elapsed: () => world.now,
  after: (ms: number, task: () => void) => world.after(ms, task),
  sleep: (ms: number) => new Promise<void>((resolve) => world.after(ms, resolve)),
})
