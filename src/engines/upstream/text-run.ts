import type { Clock } from '../../base/clock.ts'
import { InvalidError } from '../../base/errors.ts'
import { needsOf } from '../../wire/capability.ts'
import type { Chunk, Done, Finish } from '../../wire/chunk.ts'
import type { Job } from '../../wire/job.ts'
import { contentBytes, inputTokensMax, outputTokensMax } from '../../wire/token-bounds.ts'
import { cancelledDone } from '../lanes.ts'
import type { Counted } from './answer-event.ts'
import { CallReader } from './call-reader.ts'
import { Inbox } from './inbox.ts'
import { JsonCheck } from './json-check.ts'
import { type LaneParts, type LanePatience, LaneRun } from './lane-run.ts'
import { type AskedOf, type Lane, lanesOfWork, requestBody, type TextWork } from './request-body.ts'
import { Tally } from './tally.ts'
import type { UpstreamHttp } from './upstream-http.ts'

/** Chunks that wait for a slow reader; then the server itself is made to wait. */
const FULL = 256
const ROOM = 64
/** Of most texts, where nobody counted. */
const BYTES_PER_TOKEN = 4

export interface TextRunParts {
  http: UpstreamHttp
  clock: Clock
  patience: LanePatience
  asked: AskedOf
  contextLength: number
}

/** In UTF-16 units: several copies of a long prompt, or of one with images. */
const BODIES_MAX = 64 * 1024 * 1024

function bodiesOf(work: TextWork, lanes: readonly Lane[], asked: AskedOf): string[] {
  let units = 0
  return lanes.map((lane) => {
    const body = requestBody(work, lane, asked)
    units += body.length
    if (units <= BODIES_MAX) return body
    throw new InvalidError(
      'n',
      'So many answers to so long a request are too much at once. Ask for fewer.',
    )
  })
}

/** All answers of one job, each on a connection of its own. */
export class TextRun {
  readonly #parts: TextRunParts
  readonly #job: Job
  readonly #work: TextWork
  readonly #inbox: Inbox<Chunk>
  readonly #lanes: LaneRun[] = []
  readonly #tallies: Tally[] = []
  readonly #finish: (Finish | undefined)[] = []
  /** Of each prompt, as the server counts it. */
  readonly #counted = new Map<number, Counted>()
  /** Of the prompt, as it was said when the job was accepted; 0 where it was not known then. */
  #accepted: number | undefined
  #isOver = false

  constructor(parts: TextRunParts, job: Job, work: TextWork) {
    this.#parts = parts
    this.#job = job
    this.#work = work
    const each = (act: (lane: LaneRun) => void) => () => this.#lanes.forEach(act)
    this.#inbox = new Inbox<Chunk>(
      { full: FULL, room: ROOM },
      { onFull: each((lane) => lane.pause()), onRoom: each((lane) => lane.resume()) },
    )
  }

  async *chunks(signal: AbortSignal): AsyncGenerator<Chunk> {
    const onAbort = () => this.#cancel()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.#start()
      for await (const chunk of this.#inbox) yield chunk
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#drop()
    }
  }

  #start(): void {
    const { http, clock, patience, asked, contextLength } = this.#parts
    const { sampling, kind } = this.#work
    const lanes = lanesOfWork(this.#work)
    // All of them are looked at before the first is asked.
    const bodies = bodiesOf(this.#work, lanes, asked)
    const isScored = sampling.logprobs !== undefined
    const needs = needsOf(this.#work)
    const tokensMax = outputTokensMax(this.#work, contextLength)
    const path = kind === 'chat' ? '/v1/chat/completions' : '/v1/completions'
    for (const [at, lane] of lanes.entries()) {
      const tally = new Tally({ choice: lane.choice, tokensMax, isScored })
      this.#tallies.push(tally)
      this.#finish.push(undefined)
      const parts: LaneParts = {
        ...{ http, clock, tally, kind, isScored, patience, needs },
        ...this.#checksOf(lane.choice),
      }
      const run = new LaneRun(
        parts,
        { path, body: bodies[at] ?? '' },
        {
          onBegun: (counted) => this.#begun(counted),
          onTokens: (tokens) => this.#inbox.push(tokens),
          onDone: (finish, counted) => this.#ended(at, lane.prompt, finish, counted),
          onFailed: (error) => this.#fail(error),
        },
      )
      this.#lanes.push(run)
    }
    // What is signed of that is signed while the server works: when the requests are on their way.
    if (!asked.server.countsEarly) process.nextTick(() => this.#begun({}))
  }

  #checksOf(choice: number): Pick<LaneParts, 'calls' | 'json'> {
    const work = this.#work
    if (work.kind !== 'chat') return { calls: undefined, json: undefined }
    // Whoever names a stop wants what is before it, and servers do not say that it was met.
    const isWhole = work.sampling.stop.length === 0
    return {
      calls: new CallReader({ work, jobId: this.#job.id, choice }),
      json: work.format && isWhole ? new JsonCheck(work.format.type) : undefined,
    }
  }

  #begun({ inputTokens = 0 }: Counted): void {
    if (this.#accepted !== undefined) return
    const isOnly = this.#work.kind === 'chat' || this.#work.prompts.length === 1
    this.#accepted = isOnly ? this.#bounded(inputTokens) : 0
    this.#inbox.push({ type: 'accepted', inputTokens: this.#accepted })
  }

  #ended(at: number, prompt: number, finish: Finish, counted: Counted): void {
    this.#finish[at] = finish
    // The same prompt is counted once, however many answers there are to it.
    if (!this.#counted.has(prompt)) this.#counted.set(prompt, counted)
    if (this.#finish.includes(undefined) || this.#isOver) return
    this.#isOver = true
    this.#inbox.push(this.#done())
    this.#inbox.close()
  }

  #done(): Done {
    const inputTokens = this.#accepted || this.#bounded(this.#countedInput())
    const cached = this.#sum((counted) => counted.cachedTokens ?? 0)
    return {
      type: 'done',
      finish: this.#finish.map((finish) => finish ?? 'stop'),
      usage: {
        inputTokens,
        cachedTokens: Math.min(inputTokens, cached),
        outputTokens: this.#outputTokens,
      },
    }
  }

  #countedInput(): number {
    const counted = this.#sum(({ inputTokens = 0 }) => inputTokens)
    if (counted > 0) return counted
    // Of most texts, from below: who counts nothing is not paid for more than is sure.
    return Math.max(1, Math.ceil(contentBytes(this.#work) / BYTES_PER_TOKEN))
  }

  #sum(count: (counted: Counted) => number): number {
    return [...this.#counted.values()].reduce((sum, each) => sum + count(each), 0)
  }

  /** No prompt has more tokens than bytes, whatever its server says. */
  #bounded(inputTokens: number): number {
    return Math.min(inputTokens, inputTokensMax(this.#work, this.#parts.contextLength))
  }

  get #outputTokens(): number {
    return this.#tallies.reduce((sum, { sent }) => sum + sent, 0)
  }

  #cancel(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#drop()
    this.#inbox.push(cancelledDone(this.#job, this.#accepted ?? 0, this.#outputTokens))
    this.#inbox.close()
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#drop()
    this.#inbox.fail(error)
  }

  #drop(): void {
    for (const lane of this.#lanes) lane.drop()
  }
}
