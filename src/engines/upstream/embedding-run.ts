import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { InvalidError } from '../../base/errors.ts'
import type { Chunk } from '../../wire/chunk.ts'
import type { EmbeddingWork, Job } from '../../wire/job.ts'
import { contentBytes, inputTokensMax } from '../../wire/token-bounds.ts'
import { cancelledDone } from '../lanes.ts'
import { complaintIn } from './answer-event.ts'
import { countOf, fieldsOf, listOf, parseFields } from './json.ts'
import { complained, garbled } from './upstream-errors.ts'
import type { UpstreamHttp } from './upstream-http.ts'

/** Inputs of one request: what it answers is read as a whole, and that takes this process its time. */
const INPUTS_MAX = 16
const LENGTH_MAX = 16_000
/** A number has some 20 characters. */
const ANSWER_BYTES_MAX = INPUTS_MAX * LENGTH_MAX * 24
const BYTES_PER_TOKEN = 4

export interface EmbeddingParts {
  http: UpstreamHttp
  clock: Clock
  /** As the server calls it. */
  model: string
  contextLength: number
  /** For one request. */
  patienceMs: number
}

/** Vectors of length 1, some inputs at a time. */
export async function* embed(
  parts: EmbeddingParts,
  job: Job,
  work: EmbeddingWork,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  let counted = 0
  try {
    for (let first = 0; first < work.inputs.length; first += INPUTS_MAX) {
      const inputs = work.inputs.slice(first, first + INPUTS_MAX)
      const { vectors, inputTokens } = await ask(parts, inputs, signal)
      if (first === 0) yield { type: 'accepted', inputTokens: 0 }
      counted += inputTokens ?? 0
      yield { type: 'vectors', first, vectors: vectors.map((each) => fitted(each, work)) }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  if (signal.aborted) {
    yield cancelledDone(job)
    return
  }
  const said = counted || Math.max(1, Math.ceil(contentBytes(work) / BYTES_PER_TOKEN))
  const inputTokens = Math.min(said, inputTokensMax(work, parts.contextLength))
  yield { type: 'done', finish: [], usage: { inputTokens, cachedTokens: 0, outputTokens: 0 } }
}

interface Embedded {
  vectors: number[][]
  inputTokens: number | undefined
}

/** In the order of the inputs. */
export async function ask(
  { http, clock, model, patienceMs: ms }: Omit<EmbeddingParts, 'contextLength'>,
  inputs: readonly string[],
  signal: AbortSignal,
): Promise<Embedded> {
  const body = JSON.stringify({ model, input: inputs, encoding_format: 'float' })
  const what = 'The server behind this model'
  const { status, text, retryAfterMs } = await within(clock, { ms, what, signal }, (ending) =>
    http.text({ path: '/v1/embeddings', body, bytesMax: ANSWER_BYTES_MAX }, ending),
  )
  if (status !== 200)
    throw complained({ ...said(text, status), ...(retryAfterMs && { retryAfterMs }) })
  const fields = parseFields(text)
  const vectors = vectorsIn(listOf(fields.data), inputs.length)
  return { vectors, inputTokens: countOf(fieldsOf(fields.usage)?.prompt_tokens) }
}

function said(text: string, status: number) {
  try {
    return { ...complaintIn(parseFields(text), status), status }
  } catch {
    return { status, text: '' }
  }
}

function vectorsIn(rows: readonly unknown[], count: number): number[][] {
  const vectors: number[][] = []
  for (const [at, row] of rows.entries()) {
    const { index = at, embedding } = fieldsOf(row) ?? {}
    const place = countOf(index)
    if (place === undefined || place >= count || vectors[place] !== undefined) {
      throw garbled('the place of a vector')
    }
    vectors[place] = numbersIn(embedding)
  }
  const [first] = vectors
  const isWhole = rows.length === count && vectors.every((each) => each.length === first?.length)
  if (!isWhole) throw garbled('not one vector for each input, all of one length')
  return vectors
}

function numbersIn(embedding: unknown): number[] {
  const numbers = listOf(embedding)
  const isVector = numbers.length > 0 && numbers.length <= LENGTH_MAX
  if (!isVector || !numbers.every(Number.isFinite)) throw garbled('a vector')
  return numbers as number[]
}

/** Cut as the job wants it, and scaled to length 1, which not every server does. */
function fitted(numbers: readonly number[], { dimensions = numbers.length }: EmbeddingWork) {
  if (dimensions > numbers.length) {
    throw new InvalidError(
      'dimensions',
      `Invalid 'dimensions': the vectors of this model have ${numbers.length}, and no more.`,
    )
  }
  const cut = numbers.slice(0, dimensions)
  const length = Math.hypot(...cut)
  if (!(length > 0) || !Number.isFinite(length)) throw garbled('a vector without a length')
  return Float32Array.from(cut, (each) => each / length)
}
