import type { Clock } from '../base/clock.ts'
import type { Drafted } from '../wire/chunk.ts'

/** Buckets of a second: what the figures look back on. */
const WINDOW_S = 60
/** What "now" is the mean of: a single second jumps. */
const NOW_S = 5
/** Times to the first token, of all requests of a second; beyond it, some of them stand for all. */
const SAMPLES_MAX = 64
/** Answers that say how well is guessed now. */
const ANSWERS = 32
/** There are about 250 countries; who serves says which. */
const COUNTRIES_MAX = 256

/** What this peer's requests came to lately. */
export interface ActivityFigures {
  windowS: number
  /** Output tokens a second: the mean of the last seconds, and the best second of the window. */
  tps: { now: number; peak: number }
  requests: { inFlight: number; last60s: number; failed60s: number }
  /** Of the providers that wrote them; those that do not say where they are count as undefined. */
  countries: { country: string | undefined; tps: number }[]
  /** Undefined before the first. */
  firstTokenMs: { p50: number; p95: number } | undefined
  /** Of the last answers: in how many somebody guessed, and the part of those guesses that was right. */
  speculation: { runs: number; acceptance: number | undefined }
}

/** One second. */
class Bucket {
  second = -1
  tokens = 0
  finished = 0
  failed = 0
  readonly firstTokens: number[] = []
  readonly countries = new Map<string | undefined, number>()

  begin(second: number): void {
    this.second = second
    this.tokens = 0
    this.finished = 0
    this.failed = 0
    this.firstTokens.length = 0
    this.countries.clear()
  }
}

/** Counts what goes on, in a ring of seconds: what it holds does not grow. */
export class Activity {
  readonly #clock: Clock
  readonly #ring = Array.from({ length: WINDOW_S + 1 }, () => new Bucket())
  #inFlight = 0
  /** Of each of the last answers. */
  readonly #guesses: { drafted: number; accepted: number }[] = []

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  began(): void {
    this.#inFlight++
  }

  ended(how: 'finished' | 'failed'): void {
    this.#inFlight--
    this.#bucket()[how]++
  }

  firstToken(ms: number): void {
    const { firstTokens } = this.#bucket()
    if (firstTokens.length < SAMPLES_MAX) firstTokens.push(ms)
  }

  answered(drafting: readonly Drafted[] = []): void {
    const sum = (of: 'drafted' | 'accepted') =>
      drafting.reduce((total, each) => total + each[of], 0)
    this.#guesses.push({ drafted: sum('drafted'), accepted: sum('accepted') })
    if (this.#guesses.length > ANSWERS) this.#guesses.shift()
  }

  tokens(count: number, country: string | undefined): void {
    const bucket = this.#bucket()
    bucket.tokens += count
    const { countries } = bucket
    if (countries.has(country) || countries.size < COUNTRIES_MAX) {
      countries.set(country, (countries.get(country) ?? 0) + count)
    }
  }

  figures(): ActivityFigures {
    const now = this.#second()
    const window = this.#ring.filter(({ second }) => second > now - WINDOW_S && second <= now)
    // The second that is on is not whole yet.
    const lately = window.filter(({ second }) => second >= now - NOW_S && second < now)
    const sum = (field: 'finished' | 'failed') =>
      window.reduce((total, bucket) => total + bucket[field], 0)
    return {
      windowS: WINDOW_S,
      tps: {
        now: lately.reduce((total, { tokens }) => total + tokens, 0) / NOW_S,
        peak: window.reduce((most, { tokens }) => Math.max(most, tokens), 0),
      },
      requests: {
        inFlight: this.#inFlight,
        last60s: sum('finished') + sum('failed'),
        failed60s: sum('failed'),
      },
      countries: countriesOf(lately),
      firstTokenMs: percentiles(window.flatMap(({ firstTokens }) => firstTokens)),
      speculation: this.#speculation(),
    }
  }

  #speculation(): ActivityFigures['speculation'] {
    const runs = this.#guesses.filter(({ drafted }) => drafted > 0)
    const drafted = runs.reduce((sum, each) => sum + each.drafted, 0)
    const accepted = runs.reduce((sum, each) => sum + each.accepted, 0)
    return { runs: runs.length, acceptance: drafted > 0 ? accepted / drafted : undefined }
  }

  #bucket(): Bucket {
    const second = this.#second()
    const bucket = this.#ring[second % this.#ring.length] as Bucket
    if (bucket.second !== second) bucket.begin(second)
    return bucket
  }

  #second(): number {
    return Math.floor(this.#clock.elapsed() / 1000)
  }
}

function countriesOf(buckets: readonly Bucket[]): ActivityFigures['countries'] {
  const tokens = new Map<string | undefined, number>()
  for (const { countries } of buckets) {
    for (const [country, count] of countries)
      tokens.set(country, (tokens.get(country) ?? 0) + count)
  }
  return [...tokens]
    .map(([country, count]) => ({ country, tps: count / NOW_S }))
    .sort((a, b) => b.tps - a.tps)
}

function percentiles(samples: number[]): ActivityFigures['firstTokenMs'] {
  if (samples.length === 0) return undefined
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.ceil(part * sorted.length) - 1] as number
  return { p50: at(0.5), p95: at(0.95) }
}
