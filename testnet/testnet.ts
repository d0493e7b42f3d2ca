import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PeerError } from '../src/index.ts'
import type { PeerFigures } from './figures.ts'
import {
  defaultPeerTimes,
  type PeerPlace,
  PeerProcess,
  type PeerState,
  type PeerTimes,
  type PrintedEvent,
  type ReadyLine,
} from './peer-process.ts'
import { planPeers, requireMemory, withoutSettings } from './plan.ts'
import { unseen } from './seen.ts'

export interface TestnetOptions extends Pick<PeerPlace, 'programPath'>, Partial<PeerTimes> {
  /** How many, the one to talk to included. */
  peers: number
  nodePath?: string
  /** Settings of a peer in it are left out: they are meant for another. */
  env: Readonly<Record<string, string | undefined>>
  /** Holds a folder and a log for each peer, and is kept. Without it, a temporary folder does. */
  dir?: string
  /** The temporary folder is kept too. */
  keep?: boolean
  /** How long the first peer may take, once all are up, to find that they serve. */
  seenMs?: number
  onEvent?: (event: TestnetEvent) => void
}

/** What a peer said, or that it is `down`; `from` is its name in the testnet. */
export type TestnetEvent = PrintedEvent & { from: string }

export interface TestnetPeer {
  readonly name: string
  readonly region: string | undefined
  readonly roles: readonly string[]
  readonly state: PeerState
  readonly pid: number | undefined
  /** Undefined until it is up. */
  readonly ready: ReadyLine | undefined
  /** What it does at the moment; undefined when it does not say. */
  figures(options: { signal: AbortSignal }): Promise<PeerFigures | undefined>
}

/** Each of them has models to load, all on the same cores. */
const SEEN_PEER_MS = 15_000
/** Between looks, when no peer says anything. */
const LOOK_MS = 500
/** Peers that the others join through: when one of them goes, there is another. */
const BOOTSTRAP_PEERS = 2

/** Real peers as processes of this machine, which find each other and work for each other. */
export class Testnet {
  /** No other testnet is called so: peers of two of them never meet. */
  readonly network = `testnet-${randomBytes(6).toString('hex')}`
  readonly #options: TestnetOptions
  readonly #peers: PeerProcess[]
  /** Ends a start: because of a failure, or because it is to be stopped. */
  readonly #end = new AbortController()
  #heard = new AbortController()
  #dir: string | undefined
  #isUp = false
  /** Until its log is read, why this testnet cannot come up. */
  #failing: Promise<void> | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  /** Refuses more peers than there is memory for. */
  constructor(options: TestnetOptions) {
    requireMemory(options.peers, process.availableMemory())
    this.#options = options
    const { readyMs = defaultPeerTimes.readyMs, stopMs = defaultPeerTimes.stopMs } = options
    const times = { readyMs, stopMs }
    this.#peers = planPeers(options.peers).map(
      (plan) => new PeerProcess(plan, times, (event, peer) => this.#onEvent(event, peer)),
    )
  }

  get peers(): readonly TestnetPeer[] {
    return this.#peers
  }

  /** The one to talk to. */
  get first(): ReadyLine {
    const ready = this.#peers[0]?.ready
    if (ready === undefined) throw new PeerError('not_started', 'The testnet has not started.')
    return ready
  }

  /** Undefined before `start`. */
  get dir(): string | undefined {
    return this.#dir
  }

  /** Resolves once the first peer, the one to talk to, knows that all others serve. */
  start({ signal }: { signal: AbortSignal }): Promise<void> {
    this.#starting ??= this.#start(AbortSignal.any([signal, this.#end.signal]))
    return this.#starting
  }

  /** Ends all of them and waits for it. Also while they start, and after a failure. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { programPath, nodePath = process.execPath } = this.#options
    const dir = this.#options.dir ?? (await mkdtemp(join(tmpdir(), 'pinaivu-testnet-')))
    this.#dir = dir
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const env = withoutSettings(this.#options.env)
    const bootstrap: string[] = []
    const place: PeerPlace = { programPath, nodePath, env, network: this.network, dir, bootstrap }
    for (const peer of this.#peers.slice(0, BOOTSTRAP_PEERS)) {
      const { addrs } = await peer.start(place, { signal })
      bootstrap.push(...addrs.slice(0, 1))
    }
    await this.#startRest(place, signal)
    await this.#untilSeen(signal)
    await this.#failing
    signal.throwIfAborted()
    this.#isUp = true
  }

  /** As many at a time as there are cores: more would only make each other late. */
  async #startRest(place: PeerPlace, signal: AbortSignal): Promise<void> {
    const rest = this.#peers.slice(BOOTSTRAP_PEERS).values()
    const startNext = async () => {
      for (const peer of rest) {
        await peer.start(place, { signal }).catch((error: unknown) => this.#end.abort(error))
        signal.throwIfAborted()
      }
    }
    const lanes = Array.from({ length: availableParallelism() }, startNext)
    // Also those that a failure elsewhere ends are waited for: none may be spawned after a stop.
    await Promise.allSettled(lanes)
    signal.throwIfAborted()
  }

  async #untilSeen(signal: AbortSignal): Promise<void> {
    const [first, ...others] = this.#peers
    if (first?.ready === undefined) return
    const { seenMs = SEEN_PEER_MS * this.#peers.length } = this.#options
    const late = AbortSignal.timeout(seenMs)
    for (;;) {
      const missing = await unseen(first.ready.http, others, signal)
      if (missing.length === 0) return
      if (late.aborted) {
        const names = missing.map(({ name }) => name).join(', ')
        throw await first.failure(`${first.name} did not find ${names} within ${seenMs / 1000} s.`)
      }
      const earlier = AbortSignal.any([signal, this.#heard.signal])
      await sleep(LOOK_MS, undefined, { signal: earlier }).catch(() => {})
      signal.throwIfAborted()
    }
  }

  #onEvent(event: PrintedEvent, from: PeerProcess): void {
    this.#heard.abort()
    this.#heard = new AbortController()
    this.#options.onEvent?.({ ...event, from: from.name })
    const what = this.#isUp ? undefined : fatal(event)
    if (what === undefined) return
    this.#failing ??= from.failure(`${from.name} ${what}`).then((error) => this.#end.abort(error))
  }

  async #stop(): Promise<void> {
    this.#end.abort()
    // Whoever asked for the start is told how it ended.
    await this.#starting?.catch(() => {})
    await Promise.all(this.#peers.map((peer) => peer.stop()))
    const { dir, keep } = this.#options
    if (dir === undefined && keep !== true && this.#dir !== undefined) {
      await rm(this.#dir, { recursive: true, force: true })
    }
  }
}

/** What keeps a testnet from coming up, in a few words. */
function fatal({ event, ...facts }: PrintedEvent): string | undefined {
  if (event === 'down') return `ended (${facts.reason}).`
  if (event !== 'model' || facts.state !== 'failed') return undefined
  const { message = 'no reason is known' } = (facts.error ?? {}) as { message?: string }
  return `cannot load ${facts.name}: ${message}`
}
