import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PeerError } from '../../src/index.ts'
import { type PeerPlace, PeerProcess, type PeerTimes, type ReadyLine } from '../peer-process.ts'
import { type PeerPlan, requireMemory, withoutSettings } from '../plan.ts'
import { type Answer, askStream, type OnText } from './answer.ts'
import { PRICE } from './receipts-check.ts'

export const MODEL = 'pinaivu-demo'
/** The one to talk to. */
export const GATEWAY = 'gateway'

/** Between looks at a peer. */
const LOOK_MS = 50
const READY_MS = 60_000
/** A connection that was given up is made anew by itself, but not at once. */
const WELL_MS = 90_000
const ANSWER_MS = 60_000

/**
 * After so many answers that it acknowledged, a coordinator has work at a provider again at once when
 * some was cut off; before, only after a minute.
 */
export const CREDIT = 4

/** A second of work: the model's two ends are banned, so that it goes on. */
export const story = {
  model: MODEL,
  messages: [{ role: 'user', content: 'What is a peer?' }],
  ...{ temperature: 1, seed: 7, max_tokens: 600, logit_bias: { 0: -100, 2: -100 } },
}

export const shortly = { ...story, max_tokens: 1 }

export interface StageOptions extends Pick<PeerPlace, 'programPath'> {
  nodePath?: string
  env: Readonly<Record<string, string | undefined>>
  /** Holds a folder and a log for each peer, and is kept. Without it, a temporary folder does. */
  dir?: string
  keep?: boolean
  /** Told of a peer that ended, though nobody made it. */
  onDown?: (name: string, reason: string) => void
  signal: AbortSignal
}

/** A peer as it is started, and started again. */
interface Actor {
  plan: PeerPlan
  /** Names of those it joins through. */
  through: readonly string[]
  prefix: readonly string[]
  address: string
  process: PeerProcess | undefined
}

const times: PeerTimes = { readyMs: READY_MS, stopMs: 15_000 }

/** Real peers that are killed, frozen and started again, by name. Whoever opens it closes it. */
export class Stage {
  readonly network = `scenario-${randomBytes(6).toString('hex')}`
  readonly signal: AbortSignal
  readonly #options: StageOptions
  readonly #actors = new Map<string, Actor>()
  readonly #end = new AbortController()
  readonly #starts = new Set<Promise<unknown>>()
  #dir = ''

  constructor(options: StageOptions) {
    this.#options = options
    this.signal = AbortSignal.any([options.signal, this.#end.signal])
  }

  async open(): Promise<void> {
    this.#dir = this.#options.dir ?? (await mkdtemp(join(tmpdir(), 'pinaivu-scenario-')))
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
  }

  get dir(): string {
    return this.#dir
  }

  async close(): Promise<void> {
    this.#end.abort()
    // None may be spawned after this.
    await Promise.allSettled(this.#starts)
    await Promise.all([...this.#actors.values()].map(({ process }) => process?.kill()))
    const { dir, keep } = this.#options
    if (dir === undefined && keep !== true && this.#dir !== '') {
      await rm(this.#dir, { recursive: true, force: true })
    }
  }

  /** One more peer, that runs from now on. */
  async add(
    plan: PeerPlan,
    { through = [GATEWAY], prefix = [] }: { through?: string[]; prefix?: readonly string[] } = {},
  ): Promise<ReadyLine> {
    requireMemory(1, process.availableMemory())
    this.#actors.set(plan.name, { plan, through, prefix, address: '', process: undefined })
    return await this.start(plan.name)
  }

  /** Also again: with the same disk, at the same address. */
  async start(name: string, through = this.#actor(name).through): Promise<ReadyLine> {
    const actor = this.#actor(name)
    const peer = new PeerProcess(actor.plan, times, ({ event, reason }) => {
      if (event === 'down') this.#options.onDown?.(name, String(reason))
    })
    actor.process = peer
    const doors = through.flatMap((other) => this.#actors.get(other)?.address || [])
    const { programPath, nodePath = process.execPath, env } = this.#options
    const place = { programPath, nodePath, env: withoutSettings(env), network: this.network }
    const starting = peer.start(
      { ...place, dir: this.#dir, bootstrap: doors, prefix: actor.prefix },
      { signal: this.signal },
    )
    this.#starts.add(starting)
    const ready = await starting.finally(() => this.#starts.delete(starting))
    actor.address = ready.addrs[0] ?? ''
    const [, port = '0'] = /\/tcp\/(\d+)/.exec(actor.address) ?? []
    actor.plan = { ...actor.plan, port: Number(port) }
    return ready
  }

  peer(name: string): PeerProcess {
    const { process } = this.#actor(name)
    if (process === undefined) throw new PeerError('not_started', `${name} has not started.`)
    return process
  }

  ready(name: string): ReadyLine {
    const { ready } = this.peer(name)
    if (ready === undefined) throw new PeerError('not_started', `${name} has not started.`)
    return ready
  }

  get gateway(): ReadyLine {
    return this.ready(GATEWAY)
  }

  /** Of the peer with this id. */
  nameOf(peerId: string | undefined): string {
    for (const [name, { process }] of this.#actors) {
      if (process?.ready?.peerId === peerId) return name
    }
    return 'nobody'
  }

  /** Asks the gateway. */
  ask(body: object = story, onText?: OnText): Promise<Answer> {
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(ANSWER_MS)])
    return askStream(this.gateway, body, { signal, ...(onText && { onText }) })
  }

  /** What a peer answers to its owner. */
  async get(path: string, name = GATEWAY): Promise<unknown> {
    const { http, apiKey } = this.ready(name)
    const headers = { authorization: `Bearer ${apiKey}` }
    try {
      const answer = await fetch(new URL(path, http), { headers, signal: this.signal })
      if (answer.ok) return await answer.json()
      throw new PeerError('scenario_stuck', `${name} answers ${path} with ${answer.status}.`)
    } catch (cause) {
      this.signal.throwIfAborted()
      if (cause instanceof PeerError) throw cause
      throw new PeerError('scenario_stuck', `${name} does not answer ${path}.`, { cause })
    }
  }

  /** Providers that the gateway knows to be ready. */
  async providers(): Promise<number> {
    const { data } = (await this.get('/v1/models')) as { data: { id: string; nodes: number }[] }
    return data.find(({ id }) => id === MODEL)?.nodes ?? 0
  }

  /** Until the gateway can give work to so many. */
  async untilServed(count: number): Promise<void> {
    await this.until(`${count} providers known to the gateway`, READY_MS, async () =>
      (await this.providers()) === count ? true : undefined,
    )
  }

  /** Until this one does what the gateway asks of it, if need be so many times. */
  async untilWell(name: string, timesOver = 1): Promise<void> {
    const node = { only: [this.ready(name).peerId] }
    await this.until(`an answer of ${name}`, WELL_MS, async () => {
      for (let n = 0; n < timesOver; n++) {
        const { status, error } = await this.ask({ ...shortly, node })
        if (status !== 200 || error !== undefined) return undefined
      }
      return true
    })
  }

  /** What `look` finds, within a time; until then it is asked again and again. */
  async until<T>(what: string, ms: number, look: () => Promise<T | undefined>): Promise<T> {
    const late = AbortSignal.timeout(ms)
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      this.signal.throwIfAborted()
      if (late.aborted) {
        throw new PeerError('scenario_stuck', `There was not ${what} within ${ms / 1000} s.`)
      }
      await sleep(LOOK_MS, undefined, { signal: this.signal })
    }
  }

  #actor(name: string): Actor {
    const actor = this.#actors.get(name)
    if (actor === undefined) throw new PeerError('not_started', `There is no ${name}.`)
    return actor
  }
}

/** One that asks others, and serves nothing. */
export const gatewayPlan = (more: Partial<PeerPlan> = {}): PeerPlan => ({
  ...{ name: GATEWAY, region: undefined, roles: ['coordinator'], serves: false },
  ...more,
})

/** One that answers: on the same question, with the same seed, each of them the same. */
export const providerPlan = (name: string, more: Partial<PeerPlan> = {}): PeerPlan => ({
  ...{ name, region: undefined, roles: ['provider'], serves: true, isReproducible: true },
  ...more,
  args: ['--price', `${PRICE.input}/${PRICE.output}`, ...(more.args ?? [])],
})
