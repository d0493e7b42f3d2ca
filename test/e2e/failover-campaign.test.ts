import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Random, seededRandom, systemRandom } from '../../src/base/random.ts'
import { decodeEntry, readBody } from '../../src/wire/entry.ts'
import { readProofJson } from '../../src/wire/proof.ts'
import type { Answer } from '../../testnet/scenario/answer.ts'
import { checkReceipts } from '../../testnet/scenario/receipts-check.ts'
import {
  CREDIT,
  gatewayPlan,
  MODEL,
  providerPlan,
  Stage,
  story,
} from '../../testnet/scenario/stage.ts'
import { stage as commandStage } from '../bin/stage.ts'
import { rounds } from '../campaign.ts'
import { demoF32 } from '../gguf/lane.ts'
import { hasPython, SecondReader } from '../wire/second-reader.ts'
import { program, temporaryFolder } from './peer-process.ts'

// A provider is killed, or stands still, at any point of its answer; another goes on. What the client
// gets is held against an undisturbed run, and what is signed against what the client got. In the long
// tier; by hand PINAIVU_POINTS=20 PINAIVU_SEED=7 takes so many of them.

const NAMES = ['one', 'two', 'three']
/** Behind a lost connection, and behind silence; the next provider's prefill comes on top. */
const NOTICED_MS = { killed: 250, frozen: 3_500 }
/** So few tokens may be left that the provider is at its end already. */
const RESUMED_MIN = 0.8
const REQUESTS = 8
const STOP_LENGTH = 6
/** Half a second for each receipt: the second reader is asked about one point in so many. */
const READ_OF = 5
const TOLD_EVERY = 10
const START_MS = 120_000
/** Of a machine that does ten other things. */
const POINT_MS = 30_000
const POINTS = Number(process.env.PINAIVU_POINTS)

type How = keyof typeof NOTICED_MS
const hows: readonly How[] = ['killed', 'frozen']

const questions = ['What is a peer?', 'Hello', 'What does a receipt prove?', 'Tell me a story.']

const lane = { isReproducible: true, args: ['--model', `${MODEL}=${demoF32()}`] }
const usual = { isReproducible: false }

/** A request, and what comes of it when nothing happens. */
interface Asked {
  request: typeof story & { logprobs?: true; stop?: string }
  whole: Answer
}

interface Stall {
  how: How
  /** Less what the next provider took to read what there was. */
  ms: number
}

class Campaign {
  readonly random: Random
  readonly stalls: Stall[] = []
  /** Of all answers, none of them lost or there twice. */
  tokens = 0
  readonly #stage: Stage
  readonly #plan: typeof lane | typeof usual
  readonly #folder = temporaryFolder()
  readonly #reader = hasPython ? new SecondReader() : undefined
  readonly #asked: Asked[] = []
  /** Those that come back to work. */
  readonly #healing = new Map<string, Promise<void>>()
  #files = 0

  constructor(seed: number, plan: typeof lane | typeof usual) {
    this.random = seededRandom(seed)
    this.#plan = plan
    const { signal } = new AbortController()
    const dir = join(this.#folder.path, 'peers')
    this.#stage = new Stage({ programPath: program, env: process.env, signal, dir })
  }

  async open(): Promise<void> {
    await this.#stage.open()
    await this.#stage.add(gatewayPlan(), { through: [] })
    await Promise.all(NAMES.map((name) => this.#stage.add(providerPlan(name, this.#plan))))
    await this.#stage.untilServed(NAMES.length)
    for (const name of NAMES) await this.#stage.untilWell(name, CREDIT)
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#healing.values())
    await this.#stage.close()
    await this.#reader?.stop()
    this.#folder.remove()
  }

  /** One point: who is at work is lost when the client has so much of the answer. */
  async point(how: How): Promise<void> {
    const { request, whole } = await this.#drawn()
    // Two are needed: one that is lost, and one that goes on.
    while (this.#healing.size > 1) await Promise.race(this.#healing.values())
    const behind = 1 + this.random.below(whole.text.length)
    let victim: string | undefined
    const answer = await this.#stage.ask(request, ({ text, nodes }) => {
      if (victim !== undefined || text.length < behind) return
      victim = this.#stage.nameOf(nodes[0])
      const peer = this.#stage.peer(victim)
      if (how === 'killed') void peer.kill()
      else peer.freeze()
    })
    if (victim !== undefined) this.#heal(victim, how)
    this.#compare(answer, { request, whole })
    await this.#prove(answer, how)
  }

  /** Every answer was paid for once, with what the log says of it. */
  async audit(): Promise<void> {
    await Promise.allSettled(this.#healing.values())
    const { http, apiKey } = this.#stage.gateway
    const get = async (path: string) => {
      const answer = await fetch(`${http}${path}`, {
        headers: { authorization: `Bearer ${apiKey}` },
      })
      return (await answer.json()) as Record<string, unknown>
    }
    const audit = await get('/api/v1/credits/audit')
    expect(audit).toMatchObject({ ok: true, sum: 0, problems: [], charges: { without_entry: 0 } })
    const usage = await get('/v1/usage')
    const { owed, borne } = audit.balances as { owed: number; borne: number }
    expect(usage).toMatchObject({ total_cost: owed + borne })
    // Those that were asked for to see who is well come on top.
    expect(usage.total_output_tokens).toBeGreaterThanOrEqual(this.tokens)
    expect(await get('/api/v1/credits')).toMatchObject({ reserved_credits: 0 })
  }

  /** Each is asked for many times, and undisturbed once. */
  async #drawn(): Promise<Asked> {
    if (this.#asked.length === REQUESTS) return this.#pick(this.#asked)
    const scored = this.random.below(2) === 0 ? ({ logprobs: true } as const) : {}
    const request = {
      ...story,
      messages: [{ role: 'user', content: this.#pick(questions) }],
      temperature: this.random.below(3) / 2,
      seed: this.random.below(1_000),
      max_tokens: 100 + this.random.below(500),
      ...scored,
    }
    const whole = await this.#stage.ask(request)
    this.#compare(whole, { request, whole })
    const asked = await this.#stopped({ request, whole })
    this.#asked.push(asked)
    return asked
  }

  /** Where the same is said each time, every third request is to end at something it says late. */
  async #stopped({ request, whole }: Asked): Promise<Asked> {
    if (this.#plan !== lane || this.random.below(3) > 0) return { request, whole }
    const half = Math.floor(whole.text.length / 2)
    const at = half + this.random.below(half - STOP_LENGTH)
    const stop = whole.text.slice(at, at + STOP_LENGTH)
    const stopped = { ...request, stop }
    const less = await this.#stage.ask(stopped)
    expect(less.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)))
    this.#compare(less, { request: stopped, whole: less })
    return { request: stopped, whole: less }
  }

  #compare(answer: Answer, { request, whole }: Asked): void {
    const { error, text, scored, outputTokens, finish } = answer
    expect(error).toBeUndefined()
    if (this.#plan === lane) {
      expect(text).toBe(whole.text)
      expect([finish, outputTokens]).toEqual([whole.finish, whole.outputTokens])
    }
    if (request.stop !== undefined) expect(finish).toBe('stop')
    else expect([finish, outputTokens]).toEqual(['length', request.max_tokens])
    this.tokens += outputTokens
    if (request.logprobs !== true) return
    // No token is lost, none is there twice.
    expect(scored.length).toBe(outputTokens)
    const said = Buffer.from(scored.flat()).toString()
    if (request.stop === undefined) expect(said).toBe(text)
    else expect(said.startsWith(text)).toBe(true)
  }

  async #prove(answer: Answer, how: How): Promise<void> {
    const { gateway, signal } = this.#stage
    const { problems, files } = await checkReceipts(gateway, answer, { signal })
    expect(problems).toEqual([])
    const isRead = this.random.below(READ_OF) === 0 && hasPython
    for (const file of files) {
      const path = join(this.#folder.path, `receipt-${this.#files++}.json`)
      writeFileSync(path, file)
      const io = commandStage()
      expect([await io.run('receipts', 'verify', path), io.stderr.text]).toEqual([0, ''])
      if (isRead) expect(await this.#reader?.unsignedOf(file)).toEqual([])
    }
    if (answer.resumed === 0) return
    expect(answer.resumed).toBe(1)
    this.stalls.push({ how, ms: answer.stall.ms - prefillMs(files, answer) })
  }

  #heal(name: string, how: How): void {
    const healing = (async () => {
      if (how === 'frozen') this.#stage.peer(name).thaw()
      else await this.#restart(name)
      await this.#stage.untilWell(name, CREDIT)
    })()
    this.#healing.set(name, healing)
    healing.then(() => this.#healing.delete(name)).catch(() => {})
  }

  async #restart(name: string): Promise<void> {
    await this.#stage.peer(name).kill()
    await this.#stage.start(name)
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)] as T
  }
}

/** How long the last part took from its job to its first token, by its provider's clock. */
function prefillMs(files: readonly string[], { nodes }: Answer): number {
  const last = nodes.at(-1)
  for (const file of files) {
    const { node, proof } = JSON.parse(file)
    if (node !== last) continue
    for (const { entry } of readProofJson(proof).entries) {
      const read = readBody(decodeEntry(entry).entry)
      if (read?.kind !== 'execution') continue
      const { received, firstToken, finished } = read.body.times
      return (firstToken ?? finished) - received
    }
  }
  throw new Error('the last part has no entry')
}

/** So great a share of them is no longer than this. */
function shareOf(all: readonly number[], share: number): number {
  const sorted = all.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)
}

/** Tells how it goes; gives the machine's load. */
function tell(points: number, { stalls, tokens }: Campaign): number {
  const [load = 0] = loadavg()
  const resumed = `${stalls.length} of ${points} answers were gone on with`
  const lines = hows.map((how) => {
    const all = stalls.filter((stall) => stall.how === how).map(({ ms }) => ms)
    const [half, most, worst] = [0.5, 0.95, 1].map((share) => shareOf(all, share))
    return `${how}: ${all.length}, stall without prefill ${half} ms, p95 ${most}, max ${worst}`
  })
  console.info([`${resumed}, ${tokens} tokens, load ${load.toFixed(1)}`, ...lines].join('\n'))
  return load
}

const seed = Number(process.env.PINAIVU_SEED ?? systemRandom.below(2 ** 31))

async function run(plan: typeof lane | typeof usual, points: number): Promise<void> {
  const campaign = new Campaign(seed, plan)
  try {
    await campaign.open()
    for (let done = 0; done < points; ) {
      await campaign.point(done % 2 === 0 ? 'killed' : 'frozen').catch((error) => {
        console.error(`It was point ${done} of seed ${seed}.`)
        throw error
      })
      if (++done % TOLD_EVERY === 0 && done < points) tell(done, campaign)
    }
    await campaign.audit()
  } finally {
    await campaign.close()
  }
  const { stalls } = campaign
  const load = tell(points, campaign)
  expect(stalls.length).toBeGreaterThan(points * RESUMED_MIN)
  for (const how of hows) {
    const all = stalls.filter((stall) => stall.how === how).map(({ ms }) => ms)
    // Of a machine that has other work as well, only most of them say something.
    const share = load > availableParallelism() ? 0.5 : 1
    expect(shareOf(all, share), `with a load of ${load}`).toBeLessThanOrEqual(NOTICED_MS[how])
  }
}

const lanePoints = POINTS || rounds(0, 200)
const usualPoints = POINTS || rounds(0, 100)
const timeOf = (points: number) => ({ timeout: START_MS + points * POINT_MS })

describe(`a provider that is lost at any point of its answer (seed ${seed})`, () => {
  it.runIf(lanePoints > 0)('nobody notices on the deterministic lane', timeOf(lanePoints), () =>
    run(lane, lanePoints),
  )

  it.runIf(usualPoints > 0)('costs no token anywhere', timeOf(usualPoints), () =>
    run(usual, usualPoints),
  )
})
