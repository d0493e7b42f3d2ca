import type { TokenLogprob } from '../../wire/chunk.ts'
import { functionLimits } from '../../wire/functions.ts'
import { limits } from '../../wire/job.ts'
import type { CallDelta } from './call-reader.ts'
import { countOf, type Fields, fieldsOf, listOf, parseFields, textOf } from './json.ts'
import { type Complaint, complained, garbled } from './upstream-errors.ts'

export interface Counted {
  inputTokens?: number
  cachedTokens?: number
  outputTokens?: number
}

/** One event of a streamed answer, in our words. */
export interface AnswerEvent {
  text: string
  /** What it thought to itself: counted, and not shown. */
  isReasoning: boolean
  calls: readonly CallDelta[]
  finish?: 'stop' | 'length'
  logprobs?: TokenLogprob[]
  counted: Counted
}

/** Of one event: more than a server decodes in one step for one answer. */
const TOKENS_MAX = 256

/** Throws for what is no such event, and for an error that the server tells of. */
export function readAnswerEvent(data: string, kind: 'chat' | 'completion'): AnswerEvent {
  const fields = parseFields(data)
  if (fields.error != null) throw complained(complaintIn(fields, 500))
  if (fields.choices !== undefined && !Array.isArray(fields.choices)) throw garbled('choices')
  const counted = countedIn(fields)
  // The last event has no choice, and tells how much it was.
  const [first] = listOf(fields.choices)
  if (first === undefined) return { ...textSaid(''), counted }
  const choice = fieldsOf(first)
  if (choice === undefined) throw garbled('a choice')
  const said = kind === 'chat' ? saidInChat(choice) : textSaid(choice.text)
  const finish = finishOf(choice.finish_reason)
  const logprobs = logprobsOf(choice.logprobs)
  return { ...said, counted, ...(finish && { finish }), ...(logprobs && { logprobs }) }
}

/** What a body says that came with another status than 200, or in an event of its own. */
export function complaintIn(fields: Fields, status: number): Complaint {
  // vLLM once wrote the error itself where others write `error`.
  const error = fieldsOf(fields.error) ?? fields
  const words = [error.type, error.code, error.message, fields.error, fields.detail]
  const text = words.filter((word) => typeof word === 'string').join(' ')
  const own = countOf(error.code)
  const isStatus = own !== undefined && own >= 400 && own < 600
  return { status: isStatus ? own : status, text: text.slice(0, TEXT_MAX).toLowerCase() }
}

const TEXT_MAX = 4096

type Said = Pick<AnswerEvent, 'text' | 'isReasoning' | 'calls'>

function saidInChat(choice: Fields): Said {
  const delta = choice.delta === undefined ? {} : fieldsOf(choice.delta)
  if (delta === undefined) throw garbled('a delta')
  const said = { ...textSaid(delta.content), calls: callsIn(delta.tool_calls) }
  // OpenAI's older word for a call, which nobody here was asked for.
  if (delta.function_call != null) throw garbled('a function_call')
  if (said.text !== '' || said.calls.length > 0) return said
  const thought = textOf(delta.reasoning_content) ?? textOf(delta.reasoning) ?? ''
  return { ...said, isReasoning: thought !== '' }
}

function textSaid(value: unknown): Said {
  if (value != null && typeof value !== 'string') throw garbled('a text')
  return { text: value ?? '', isReasoning: false, calls: [] }
}

function callsIn(value: unknown): CallDelta[] {
  if (value == null) return []
  if (!Array.isArray(value) || value.length > functionLimits.callsMax) throw garbled('calls')
  return value.map((row: unknown) => {
    const fields = fieldsOf(row)
    const said = fields?.function == null ? {} : fieldsOf(fields.function)
    if (fields === undefined || said === undefined) throw garbled('a call')
    const { name, arguments: piece } = said
    if (piece != null && typeof piece !== 'string') throw garbled('arguments')
    return {
      index: fields.index == null ? undefined : (countOf(fields.index) ?? Number.NaN),
      id: textOf(fields.id) || undefined,
      name: textOf(name) || undefined,
      arguments: piece ?? '',
    }
  })
}

function finishOf(reason: unknown): AnswerEvent['finish'] {
  if (reason == null || reason === '') return undefined
  switch (reason) {
    case 'length':
    case 'max_tokens':
      return 'length'
    // It gave the answer up.
    case 'abort':
    case 'error':
      throw complained({ status: 500, text: '' })
    default:
      return 'stop'
  }
}

/** From `usage`, or from the `timings` of llama-server, which come with every token. */
function countedIn(fields: Fields): Counted {
  const usage = fieldsOf(fields.usage)
  if (usage !== undefined) {
    return known({
      inputTokens: countOf(usage.prompt_tokens),
      cachedTokens: countOf(fieldsOf(usage.prompt_tokens_details)?.cached_tokens),
      outputTokens: countOf(usage.completion_tokens),
    })
  }
  const timings = fieldsOf(fields.timings)
  if (timings === undefined) return {}
  const read = countOf(timings.prompt_n)
  const cached = countOf(timings.cache_n) ?? 0
  return known({
    inputTokens: read === undefined ? undefined : read + cached,
    cachedTokens: cached,
    outputTokens: countOf(timings.predicted_n),
  })
}

function known(counts: { [K in keyof Counted]: number | undefined }): Counted {
  const counted: Counted = {}
  if (counts.inputTokens) counted.inputTokens = counts.inputTokens
  if (counts.cachedTokens !== undefined) counted.cachedTokens = counts.cachedTokens
  if (counts.outputTokens !== undefined) counted.outputTokens = counts.outputTokens
  return counted
}

/** Of a chat as OpenAI has it; of a completion that, or four lists side by side. */
function logprobsOf(value: unknown): TokenLogprob[] | undefined {
  const fields = fieldsOf(value)
  if (fields === undefined) return undefined
  const rows = fields.content == null ? legacyRows(fields) : listOf(fields.content)
  if (rows.length > TOKENS_MAX) throw garbled('too many log-probabilities')
  return rows.map((row) => {
    const token = fieldsOf(row)
    if (token === undefined) throw garbled('a log-probability')
    const top = listOf(token.top_logprobs).slice(0, limits.topLogprobsMax)
    return { ...scored(token), top: top.map((each) => scored(fieldsOf(each) ?? {})) }
  })
}

function legacyRows({ tokens, token_logprobs: own, top_logprobs: top }: Fields): Fields[] {
  const scores = listOf(own)
  const others = listOf(top)
  return listOf(tokens).map((token, at) => ({
    token,
    logprob: scores[at],
    top_logprobs: Object.entries(fieldsOf(others[at]) ?? {}).map(([other, logprob]) => ({
      token: other,
      logprob,
    })),
  }))
}

const TOKEN_CHARS_MAX = 128
const BYTES_MAX = 512

function scored({ token, logprob, bytes }: Fields): Omit<TokenLogprob, 'top'> {
  if (typeof token !== 'string') throw garbled('a token')
  // The most likely of all is said to have 0, or by rounding a little more; an impossible one has null.
  const score = typeof logprob === 'number' ? Math.min(0, logprob) : Number.NEGATIVE_INFINITY
  const said = listOf(bytes).filter((byte) => Number.isInteger(byte) && isByte(byte as number))
  const text = token.slice(0, TOKEN_CHARS_MAX).toWellFormed()
  const own = said.length > 0 ? (said as number[]).slice(0, BYTES_MAX) : [...Buffer.from(text)]
  return { token: text, bytes: own, logprob: score }
}

const isByte = (byte: number): boolean => byte >= 0 && byte < 256
