import { PeerError } from '../../base/errors.ts'
import { finishesOf } from '../../engines/lanes.ts'
import type {
  CallPlace,
  Done,
  Finish,
  TokenLogprob,
  Tokens,
  Usage,
  Vectors,
} from '../../wire/chunk.ts'
import { addsUp } from '../../wire/drafting.ts'
import { functionLimits } from '../../wire/functions.ts'
import type { FromProvider, Resume } from '../../wire/generate.ts'
import type { Work } from '../../wire/job.ts'
import { inputTokensMax, outputTokensMax } from '../../wire/token-bounds.ts'

/** UTF-16 units; the longest tokens of known vocabularies are lines of some hundred equal characters. */
export const TEXT_PER_TOKEN_MAX = 1_024
/** A log-probability that was rounded may come out a little above 0. */
const LOGPROB_MAX = 0.01
/** What a provider had held back when it was lost, in UTF-16 units: the next one says it. */
const HELD_TEXT_MAX = 64 * 1024

type FrameOf<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

export interface Expected {
  work: Work
  /** As the provider advertises them. */
  contextLength: number
  embeddingLength: number
  /** What others wrote of it already. */
  resumes?: readonly Resume[] | undefined
}

/** What came of one choice. */
class Text {
  /** Where this provider's part begins. */
  from = 0
  tokens = 0
  text = 0
  isOver = false
  calls: CallPlace[] = []

  get textMax(): number {
    return this.tokens * TEXT_PER_TOKEN_MAX + (this.from > 0 ? HELD_TEXT_MAX : 0)
  }

  /** Where no token is left to carry it, what was held back comes alone, and nothing behind it. */
  mayEnd(text: string): boolean {
    this.isOver = this.from > 0 && text !== ''
    return this.isOver
  }
}

/**
 * Holds an answer against its job: what comes through here has the right tokens in the right order,
 * as many as were asked for and are counted. Pure; throws what deserves a penalty.
 */
export class AnswerCheck {
  readonly #work: Work
  readonly #inputTokensMax: number
  readonly #outputTokensMax: number
  readonly #vectorLength: number
  readonly #callable: ReadonlySet<string>
  readonly #callsMax: number
  readonly #texts: Text[]
  readonly #vectors: boolean[]
  #inputTokens = 0

  constructor({ work, contextLength, embeddingLength, resumes = [] }: Expected) {
    this.#work = work
    this.#inputTokensMax = inputTokensMax(work, contextLength)
    this.#outputTokensMax = outputTokensMax(work, contextLength)
    this.#texts = Array.from({ length: finishesOf(work) }, () => new Text())
    for (const { choice, ids } of resumes) {
      const known = this.#texts[choice]
      if (known !== undefined) known.from = ids.length
    }
    this.#callable = callable(work)
    this.#callsMax = work.kind === 'chat' && work.oneCall ? 1 : functionLimits.callsMax
    const embeds = work.kind === 'embedding'
    this.#vectorLength = embeds ? (work.dimensions ?? embeddingLength) : 0
    this.#vectors = embeds ? work.inputs.map(() => false) : []
  }

  /** Of the prompt; 0 until the provider has counted them. */
  get inputTokens(): number {
    return this.#inputTokens
  }

  /** Tokens received, for each choice. */
  get received(): number[] {
    return this.#texts.map(({ tokens }) => tokens)
  }

  get outputTokens(): number {
    return this.#texts.reduce((sum, { tokens }) => sum + tokens, 0)
  }

  /** Position of the next token of a choice; undefined where there is no such choice. */
  next(choice: number): number | undefined {
    const known = this.#texts[choice]
    return known && known.from + known.tokens
  }

  /** Where it says that it goes on. */
  resumed(at: readonly number[]): void {
    for (const [choice, { from }] of this.#texts.entries()) {
      if (from > 0 && at[choice] !== from) throw misbehaved('it goes on elsewhere than it was to')
    }
  }

  /** What it says of the prompt's length, true for the first time: the same each time, and no more than so many bytes can be. */
  counted(inputTokens: number): boolean {
    if (inputTokens === 0 || inputTokens === this.#inputTokens) return false
    if (this.#inputTokens !== 0) throw misbehaved('it counted the prompt twice, differently')
    if (inputTokens > this.#inputTokensMax) throw misbehaved('no such prompt has so many tokens')
    this.#inputTokens = inputTokens
    return true
  }

  /** What it says of the prompt at the end. */
  prompt({ inputTokens, cachedTokens }: Usage): void {
    this.counted(inputTokens)
    if (cachedTokens > inputTokens) throw misbehaved('more tokens cached than read')
  }

  tokens(frame: FrameOf<'tokens'>): Tokens {
    const { choice, first, ids, text, logprobs, channel, tool } = frame
    const known = this.#texts[choice]
    if (known === undefined) throw misbehaved('there is no such choice')
    if (channel === 'reasoning') throw misbehaved('nobody asked for such a channel')
    if (first !== known.from + known.tokens || known.isOver) {
      throw misbehaved('tokens are missing, or came twice')
    }
    if (ids.length === 0 && !known.mayEnd(text)) throw misbehaved('a frame without tokens')
    known.tokens += ids.length
    known.text += text.length
    if (known.from + known.tokens > this.#outputTokensMax) {
      throw misbehaved('more tokens than were asked for')
    }
    if (known.text > known.textMax) throw misbehaved('more text than tokens hold')
    const wanted = this.#work.kind === 'embedding' ? undefined : this.#work.sampling.logprobs
    checkLogprobs(logprobs, wanted === undefined ? 0 : ids.length, wanted ?? 0)
    const call = channel === 'tool' ? this.#called(known, tool) : undefined
    const said: Tokens = { type: 'tokens', choice, index: first, ids, text }
    const chunk = call === undefined ? said : { ...said, call }
    return wanted === undefined ? chunk : { ...chunk, logprobs }
  }

  /** The call that a piece is of: the one before, or the next one. */
  #called({ calls }: Text, { index, name, callId }: FrameOf<'tokens'>['tool']): CallPlace {
    const last = calls.at(-1)
    if (last !== undefined && index === last.index) {
      const isSame = (name === '' || name === last.name) && (callId === '' || callId === last.id)
      if (!isSame) throw misbehaved('a call that turned into another')
      return last
    }
    if (index !== calls.length || index >= this.#callsMax) throw misbehaved('a call out of turn')
    if (!this.#callable.has(name)) throw misbehaved('a call of what nobody offered')
    if (callId === '' || calls.some(({ id }) => id === callId))
      throw misbehaved('a call without an id')
    const call = { index, id: callId, name }
    calls.push(call)
    return call
  }

  vectors({ first, length, values }: FrameOf<'vectors'>): Vectors {
    if (length !== this.#vectorLength || length === 0) throw misbehaved('vectors of another length')
    const count = values.length / length
    if (!Number.isInteger(count) || count === 0) throw misbehaved('a part of a vector')
    const vectors: Float32Array[] = []
    for (let at = 0; at < count; at++) {
      // False: it is awaited. Undefined: there is no such input.
      if (this.#vectors[first + at] !== false) throw misbehaved('nobody asked for that vector')
      this.#vectors[first + at] = true
      vectors.push(values.subarray(at * length, (at + 1) * length))
    }
    if (!values.every(Number.isFinite)) throw misbehaved('a vector with what is no number')
    return { type: 'vectors', first, vectors }
  }

  done({ finish, usage, drafting }: FrameOf<'done'>): Done {
    if (finish.length !== this.#texts.length) throw misbehaved('not one end for each choice')
    if (!finish.every((each, at) => isFinish(each, this.#texts[at]?.calls.length ?? 0))) {
      throw misbehaved('an end that nobody asked for')
    }
    if (this.#vectors.includes(false)) throw misbehaved('vectors are missing')
    this.prompt(usage)
    if (this.#inputTokens === 0) throw misbehaved('it did not count the prompt')
    if (usage.outputTokens !== this.outputTokens)
      throw misbehaved('it counts tokens it did not send')
    if (!addsUp(drafting, this.outputTokens)) {
      throw misbehaved('it counts drafts that do not add up')
    }
    return { type: 'done', finish, usage, ...(drafting.length > 0 && { drafting }) }
  }
}

/** Who asked for calls ends with them, or where there is no room for more. */
function isFinish(finish: string, calls: number): finish is Finish {
  return finish === 'length' || finish === (calls > 0 ? 'tool_calls' : 'stop')
}

/** Functions that may be called. */
function callable(work: Work): ReadonlySet<string> {
  if (work.kind !== 'chat' || work.calling?.mode === 'none') return new Set()
  const { functions = [], calling } = work
  return new Set(calling?.name === undefined ? functions.map(({ name }) => name) : [calling.name])
}

function checkLogprobs(logprobs: readonly TokenLogprob[], count: number, topMax: number): void {
  if (logprobs.length !== count) throw misbehaved('not one log-probability for each token')
  for (const { logprob, top } of logprobs) {
    if (!isLogprob(logprob)) throw misbehaved('a log-probability that is none')
    if (top.length > topMax) throw misbehaved('more alternatives than were asked for')
    if (!top.every((other) => isLogprob(other.logprob))) {
      throw misbehaved('a log-probability that is none')
    }
  }
}

/** A token without any chance has minus infinity. */
function isLogprob(value: number): boolean {
  return value <= LOGPROB_MAX
}

export function misbehaved(what: string): PeerError {
  return new PeerError('provider_misbehaved', `The provider broke the protocol: ${what}.`, {
    action: 'penalise',
  })
}

/** The last chunk of an answer that was given up, with what had come until then. */
export function cancelledAnswer({ inputTokens, outputTokens, received }: AnswerCheck): Done {
  return {
    type: 'done',
    finish: received.map(() => 'cancelled'),
    usage: { inputTokens, cachedTokens: 0, outputTokens },
  }
}
