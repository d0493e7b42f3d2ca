import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import { type Capability, chatCapabilities } from '../../wire/capability.ts'
import type { ModelFacts } from '../engine.ts'
import { askedCapabilities } from './asked-capabilities.ts'
import { ask } from './embedding-run.ts'
import { type Fields, fieldsOf, listOf, parseFields, textOf } from './json.ts'
import { type Can, readers } from './server-facts.ts'
import { type ServerKind, serverKinds } from './server-kind.ts'
import { garbled } from './upstream-errors.ts'
import type { UpstreamHttp } from './upstream-http.ts'

/** Of one question: some servers take a second while they load a model. */
const ASK_MS = 5_000
/** An advert of 8 KiB names some tens at most. */
export const MODELS_MAX = 32
const ANSWER_BYTES_MAX = 1024 * 1024
/** Longer names are nobody's. */
const ID_CHARS_MAX = 256

/** A model as its server tells of it. */
export interface FoundModel {
  /** As the server calls it. */
  id: string
  facts: ModelFacts
  slots: number
  /** Of chats, beside what all servers do. */
  capabilities: readonly Capability[]
}

export interface Found {
  server: ServerKind
  models: FoundModel[]
}

/** One of the ids that a server lists, with what stands beside it. */
export interface Listed {
  id: string
  card: Fields
}

/** What is asked of a server to get to know it; undefined for an answer that is of no use. */
export type Question = (path: string, body?: object) => Promise<Fields | undefined>

export interface ProbeParts {
  http: UpstreamHttp
  clock: Clock
  signal: AbortSignal
}

/** The ids of its models. Throws a PeerError that tells the owner what to do. */
export async function listModels({ http, clock, signal }: ProbeParts): Promise<Listed[]> {
  const limit = { ms: ASK_MS, what: 'Asking for the models', signal }
  const { status, text } = await within(clock, limit, (ending) =>
    http.text({ method: 'GET', path: '/v1/models', bytesMax: ANSWER_BYTES_MAX }, ending),
  )
  if (status !== 200) throw notListed(status)
  const { data } = parseFields(text)
  // LM Studio answers what it does not know with 200 and an error.
  if (!Array.isArray(data)) throw garbled('no list of models')
  const listed = data.flatMap((row: unknown) => {
    const card = fieldsOf(row) ?? {}
    const id = textOf(card.id)
    return id === undefined || id === '' || id.length > ID_CHARS_MAX ? [] : { id, card }
  })
  return [...new Map(listed.map((each) => [each.id, each])).values()]
}

/** Which kind of server it is, and what these of its models are. */
export async function examine(parts: ProbeParts, listed: readonly Listed[]): Promise<Found> {
  const question = questionOf(parts)
  const server = await kindOf(listed, question)
  const read = readers[server.name]
  const shared = await read.shared(question)
  const models: FoundModel[] = []
  for (const each of listed.slice(0, MODELS_MAX)) {
    const { slots = server.slots, can = {}, ...facts } = await read.model(each, shared, question)
    const embeddingLength = await vectorLength(parts, server, each.id, facts)
    const kind = embeddingLength > 0 ? 'embedding' : 'chat'
    const asked = kind === 'chat' && server.name === 'vLLM'
    const taken = asked ? await askedCapabilities(parts, each.id) : can
    const capabilities = kind === 'chat' ? notDenied(taken) : []
    models.push({ id: each.id, facts: { ...facts, kind, embeddingLength }, slots, capabilities })
  }
  return { server, models }
}

/** Whoever says nothing of it is asked, and refuses it where it must. */
const notDenied = (can: Can): Capability[] =>
  chatCapabilities.filter((capability) => can[capability] !== false)

/** What `/v1/models` says of its owner, or else an endpoint that only one kind has. */
async function kindOf([first]: readonly Listed[], question: Question): Promise<ServerKind> {
  switch (first?.card.owned_by) {
    case 'vllm':
      return serverKinds.vLLM
    case 'sglang':
      return serverKinds.SGLang
    case 'llamacpp':
      return serverKinds['llama-server']
  }
  const lmStudio = await question('/api/v0/models')
  if (listOf(lmStudio?.data).some((row) => fieldsOf(row)?.max_context_length !== undefined)) {
    return serverKinds['LM Studio']
  }
  if (textOf((await question('/api/version'))?.version) !== undefined) return serverKinds.Ollama
  if ((await question('/props'))?.total_slots !== undefined) return serverKinds['llama-server']
  if (textOf((await question('/version'))?.version) !== undefined) return serverKinds.vLLM
  return serverKinds.unknown
}

/** Of a server that does not say what its model is for, by having it make a vector. 0: it makes none. */
async function vectorLength(
  { http, clock, signal }: ProbeParts,
  { name }: ServerKind,
  id: string,
  { kind }: { kind?: ModelFacts['kind'] | undefined },
): Promise<number> {
  // Nobody is asked for nothing who may be paid for it.
  const isLikely = name !== 'unknown' || /embed|\b(bge|e5|gte|minilm)\b/i.test(id)
  if (kind === 'chat' || (kind === undefined && !isLikely)) return 0
  try {
    const parts = { http, clock, model: id, patienceMs: ASK_MS }
    const { vectors } = await ask(parts, ['a'], signal)
    return vectors[0]?.length ?? 0
  } catch (error) {
    signal.throwIfAborted()
    if (kind === 'embedding') throw error
    return 0
  }
}

function questionOf({ http, clock, signal }: ProbeParts): Question {
  return async (path, body) => {
    const request =
      body === undefined ? ({ method: 'GET' } as const) : { body: JSON.stringify(body) }
    const limit = { ms: ASK_MS, what: path, signal }
    try {
      const { status, text } = await within(clock, limit, (ending) =>
        http.text({ ...request, path, bytesMax: ANSWER_BYTES_MAX }, ending),
      )
      return status === 200 ? parseFields(text) : undefined
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }
}

function notListed(status: number): PeerError {
  const told = (code: string, message: string) => new PeerError(code, message)
  if (status === 401 || status === 403) {
    return told(
      'upstream_unauthorized',
      'The server behind it does not let this peer in. Give its key in PINAIVU_UPSTREAM_KEY_<NAME>.',
    )
  }
  if (status >= 500 || status === 429) {
    return told(
      'upstream_failing',
      `The server behind it answers ${status}. It is asked again; look at what that server logs.`,
    )
  }
  return told(
    'upstream_not_openai',
    `The server behind it answers ${status} to /v1/models. Check the URL of --upstream.`,
  )
}
