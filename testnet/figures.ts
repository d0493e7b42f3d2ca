import { jsonOf, textOf } from './peer-http.ts'

/** What a peer does at the moment, as it says itself. */
export interface PeerFigures {
  /** Models that can answer. */
  serves: readonly string[]
  running: number
  queued: number
  /** Of answers that it wrote itself or passed on from others, over the last few seconds. */
  tokensPerSecond: number
  /** Answers that were asked of it since it started, by clients or by other peers. */
  requests: number
  /** Those that it failed, and deaths of its engine. */
  faults: number
}

/** One line of Prometheus text. */
export interface Sample {
  name: string
  labels: Readonly<Record<string, string>>
  value: number
}

/** Tokens are counted when an answer is complete: over less than this, their rate would jump. */
const windowMs = 5000

/** Follows what one peer does. */
export class FigureReader {
  readonly #http: string
  /** Tokens so far, the oldest first. */
  #counts: { at: number; tokens: number }[] = []

  constructor(http: string) {
    this.#http = http
  }

  async read(signal: AbortSignal): Promise<PeerFigures> {
    const [state, text] = await Promise.all([
      jsonOf(this.#http, '/readyz', signal),
      textOf(this.#http, '/metrics', signal),
    ])
    const samples = samplesOf(text)
    const models = modelsOf(state)
    return {
      serves: models.filter(({ state }) => state === 'ready').map(({ name }) => name),
      running: models.reduce((sum, { running }) => sum + running, 0),
      queued: models.reduce((sum, { queued }) => sum + queued, 0),
      tokensPerSecond: this.#rate(sumOf(samples, isToken), performance.now()),
      requests: sumOf(samples, isRequest),
      faults: sumOf(samples, isFault),
    }
  }

  #rate(tokens: number, at: number): number {
    const [first = { at, tokens }] = this.#counts
    this.#counts = [...this.#counts.filter((count) => at - count.at < windowMs), { at, tokens }]
    return at === first.at ? 0 : (1000 * (tokens - first.tokens)) / (at - first.at)
  }
}

const isToken = ({ name, labels }: Sample) =>
  name === 'pinaivu_engine_output_tokens_total' ||
  (name === 'pinaivu_market_output_tokens_total' && labels.where === 'remote')

const isAnswer = ({ name, labels }: Sample) =>
  name === 'pinaivu_http_requests_total' &&
  labels.method === 'POST' &&
  labels.route?.startsWith('/v1/') === true

/** What another peer asked of this one. */
const isJob = ({ name }: Sample) => name === 'pinaivu_serve_jobs_total'

const isRequest = (sample: Sample) => isAnswer(sample) || isJob(sample)

/** Codes of a job that the provider itself, or its engine, failed. */
const jobFaults: readonly (string | undefined)[] = [
  'internal_error',
  'engine_failed',
  'model_failed',
]

const isFault = (sample: Sample) =>
  sample.name === 'pinaivu_engine_restarts_total' ||
  (isAnswer(sample) && sample.labels.status?.startsWith('5') === true) ||
  (isJob(sample) && jobFaults.includes(sample.labels.outcome))

const sumOf = (samples: readonly Sample[], counts: (sample: Sample) => boolean): number =>
  samples.filter(counts).reduce((sum, { value }) => sum + value, 0)

/** The samples in the metrics of a peer of this version; what it cannot read it passes over. */
export function samplesOf(text: string): Sample[] {
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', list, value]) => ({
    name,
    labels: Object.fromEntries(
      [...(list ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, of]) => [key, of]),
    ),
    value: Number(value),
  }))
}

interface ModelFigures {
  name: string
  state: string
  running: number
  queued: number
}

function modelsOf(state: unknown): ModelFigures[] {
  const { models } = (state ?? {}) as { models?: unknown }
  return Array.isArray(models) ? (models as ModelFigures[]) : []
}
