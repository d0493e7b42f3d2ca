import { type Chunk, type Done, type Job, type Peer, PeerError } from '../../src/simulation.ts'
import { AnswerReader } from './answer-reader.ts'
import { never, type PeerClock } from './peer-clock.ts'
import type { RequestPlan } from './plan-requests.ts'
import { type SimPeer, stackOf } from './sim-peer.ts'
import type { Trace } from './trace.ts'
import type { Verdicts } from './verdicts.ts'
import type { World } from './world.ts'

/** From a request to its first token; and for whoever tells it. */
const FIRST_TOKEN_MS = 122_000
/** From one chunk to the next: a silent provider, a slow model, a hanging disk. */
const GAP_MS = 15_000

export interface ClientComponents {
  world: World
  trace: Trace
  verdicts: Verdicts
  /** That peer begins an answer for another one. */
  onBegun(providerId: string): void
  /** A client has the end of its answer. */
  onAnswered(at: SimPeer): void
  /** Whether nobody could go on with an answer that was begun. */
  mayBeCut(client: Client): boolean
}

/** A client's request, from its sending to its end. */
export class Client {
  readonly plan: RequestPlan
  readonly at: SimPeer
  readonly #components: ClientComponents
  readonly #clock: PeerClock | undefined
  readonly #leaving = new AbortController()
  readonly reader: AnswerReader
  #walksAway = false
  /** When it said so. */
  #leftAt: number | undefined
  readonly #beganAt: number
  /** When something came last. */
  #heardAt: number
  /** What it was told at the end. */
  done: Done | undefined
  /** How it ended: `done`, `left`, `lost` with its own peer, or the code of an error. */
  outcome: string | undefined

  constructor(plan: RequestPlan, at: SimPeer, components: ClientComponents) {
    this.plan = plan
    this.at = at
    this.#components = components
    this.#clock = at.clock
    this.#beganAt = components.world.now
    this.#heardAt = this.#beganAt
    this.reader = new AnswerReader(plan)
  }

  get jobId(): string {
    return jobOf(this.plan).id
  }

  async run(peer: Peer): Promise<void> {
    const { world, trace } = this.#components
    const { leaveAfterMs, readMs } = this.plan
    trace.event(`${this} begins at ${this.at}`)
    const stayOn =
      leaveAfterMs === undefined ? () => {} : world.after(leaveAfterMs, () => this.#leave())
    try {
      for await (const chunk of peer.generate(jobOf(this.plan), { signal: this.#leaving.signal })) {
        this.#heardAt = world.now
        this.#read(chunk)
        if (readMs > 0) await this.#pause(readMs)
        if (this.#isLost) await never()
        this.#heardAt = world.now
        if (this.#walksAway) break
      }
      this.#end(this.done?.finish.includes('cancelled') === false ? 'done' : 'left')
    } catch (error) {
      this.#failed(error)
    } finally {
      stayOn()
    }
  }

  /** Looks whether it waits for too long. */
  watch(): void {
    const { world, verdicts } = this.#components
    if (this.outcome !== undefined) return
    if (this.#isLost) {
      this.#end('lost')
      return
    }
    if (this.at.state === 'frozen') this.#heardAt = world.now
    const [from, limit] = this.#waiting()
    if (world.now - Math.max(from, this.at.changedAt) <= limit) return
    this.#end('hangs')
    verdicts.broken('requests end in time', `${this} at ${this.at} waits for ${limit} ms`)
  }

  /** Since when, and for how long it may. */
  #waiting(): [from: number, limit: number] {
    if (this.#leftAt !== undefined) return [this.#leftAt, GAP_MS]
    return this.reader.hasBegun ? [this.#heardAt, GAP_MS] : [this.#beganAt, FIRST_TOKEN_MS]
  }

  /** All others have, and the longest answer would be over. */
  mustHaveEnded(): void {
    this.watch()
    const { verdicts } = this.#components
    const hasEnded = this.outcome !== undefined
    verdicts.expect(hasEnded, 'requests end in time', () => `${this} at ${this.at} still runs`)
  }

  #leave(): void {
    if (this.#isLost) return
    if (!this.plan.saysBye) this.#walksAway = true
    else {
      this.#leftAt = this.#components.world.now
      this.#leaving.abort()
    }
  }

  /** The process that was asked is gone: nothing may happen in it any more. */
  get #isLost(): boolean {
    return this.at.clock !== this.#clock
  }

  #read(chunk: Chunk): void {
    const { trace, verdicts } = this.#components
    const wrong = this.reader.read(chunk)
    if (chunk.type === 'routed') {
      trace.event(`${this} is answered by ${chunk.node.id.slice(-6)}`)
      if (chunk.node.id !== this.at.peerId) this.#components.onBegun(chunk.node.id)
    }
    if (chunk.type === 'done') {
      this.done = chunk
      this.#components.onAnswered(this.at)
    }
    if (wrong !== undefined) verdicts.broken('answers are what the model said', `${this}: ${wrong}`)
  }

  #failed(error: unknown): void {
    const { verdicts } = this.#components
    const isTyped = error instanceof PeerError && error.code !== 'internal_error'
    const isOwn = this.#leaving.signal.aborted || this.at.state === 'leaving'
    verdicts.expect(isTyped || isOwn, 'errors have a type', () => `${this}: ${stackOf(error)}`)
    const mayFail = !this.reader.hasBegun || isOwn || this.#components.mayBeCut(this)
    verdicts.expect(
      mayFail,
      'answers are what the model said',
      () => `${this} was cut: ${stackOf(error)}`,
    )
    this.#end(error instanceof PeerError ? error.code : 'error')
  }

  #end(outcome: string): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    this.#components.trace.event(`${this} ends: ${outcome}, ${this.reader.received} tokens`)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#components.world.after(ms, resolve))
  }

  toString(): string {
    return `request ${this.plan.number}`
  }
}

export function jobOf(plan: RequestPlan): Job {
  const { model, prompt, seed, choices, maxTokens, maxPrice, number } = plan
  return {
    id: `job_${number}`,
    model,
    work: {
      kind: 'chat',
      messages: [{ role: 'user', content: prompt }],
      sampling: {
        ...{ temperature: 0, topP: 1, seed, choices, stop: [], logitBias: [] },
        ...{ presencePenalty: 0, frequencyPenalty: 0 },
        ...(maxTokens === undefined ? {} : { maxTokens }),
      },
    },
    cacheScope: `account_${number % 20}`,
    origin: { requestId: `req_${number}`, account: 'sim', endpoint: '/v1/chat/completions' },
    ...(maxPrice === undefined ? {} : { wishes: { maxPrice } }),
  }
}
