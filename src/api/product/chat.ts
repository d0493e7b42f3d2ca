import type { FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import { type Emit, noEvents } from '../../accounts/events.ts'
import type { Ledger } from '../../accounts/ledger/ledger.ts'
import type { SavedTurn, SessionStore } from '../../accounts/sessions/session-store.ts'
import { PeerError } from '../../base/errors.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Message } from '../../wire/job.ts'
import { validatorCompiler } from '../check.ts'
import { clientSignal } from '../client-signal.ts'
import { attribute, collectAnswer } from '../openai/answer.ts'
import { chatHandler } from '../openai/chat-completions.ts'
import { type ChatRequest, chatChunk, chatRequest, chatResponse } from '../openai/chat-schema.ts'
import {
  defaultGeneration,
  type GenerationComponents,
  type GenerationOptions,
  toJob,
} from '../openai/generation.ts'
import { chooseModel } from '../openai/model-choice.ts'
import { patient } from '../openai/patience.ts'
import { toSampling } from '../openai/sampling.ts'
import type { RouteModule } from '../route.ts'
import { anyOf, type Schema } from '../schema.ts'
import { Asking } from './asking.ts'
import {
  type CreditsJson,
  type TurnJson,
  type TurnRequest,
  turnEvents,
  turnRequest,
  turnResponse,
} from './chat-schema.ts'
import { type RunningTurn, streamTurn } from './chat-stream.ts'
import { usageJson } from './sessions.ts'

export interface ChatComponents extends GenerationComponents {
  sessions: Pick<SessionStore, 'begin'>
  emit?: Emit
  till: { ledger: Pick<Ledger, 'chargeOf'> }
}

type AnyRequest = FastifyRequest<{ Body: TurnRequest | ChatRequest }>
type TurnOnly = FastifyRequest<{ Body: TurnRequest }>

const STREAM = '/chat/completions/stream'

/**
 * `POST /chat/completions` and `/chat/completions/stream` of the product surface; mount them at
 * `/api/v1`. A body with one `message` is a turn of a session that is kept here; one with `messages`
 * is answered as at `/v1`, and nothing of it is kept.
 */
export function turnRoutes(
  components: ChatComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const answerWhole = chatHandler(components, options)
  const answerTurn = turnHandler(components, options)
  return (app) => {
    for (const path of ['/chat/completions', STREAM]) {
      app.post<{ Body: TurnRequest | ChatRequest }>(
        path,
        {
          schema: {
            summary: path === STREAM ? 'The same, always as events' : 'A turn of a chat session',
            description: aboutTurns,
            tags: ['Chat'],
            body: anyOf([turnRequest, chatRequest]),
            response: { 200: eitherForm },
            errors: turnErrors,
          },
          validatorCompiler: checkForm,
          config: { access: 'chat:create', idempotent: 'work' },
        },
        async (request: AnyRequest, reply) => {
          if (path === STREAM) request.body.stream = true
          if ('message' in request.body) return answerTurn(request as TurnOnly, reply)
          return answerWhole(request as FastifyRequest<{ Body: ChatRequest }>, reply)
        },
      )
    }
  }
}

const aboutTurns =
  'With one `message`: what was said before in the session goes to the model with it, and question ' +
  'and answer are kept. Without `session_id` a session begins. With `messages`: answered as at ' +
  '`/v1/chat/completions`, and nothing is kept. Events of a turn are `chat.started`, ' +
  '`message.delta`, `message.completed`, `chat.completed` and `error`.'

const turnErrors = [
  ...['chat_attachment_not_supported', 'chat_session_conflict', 'chat_session_busy'],
  'chat_quota_exceeded',
]

const eitherForm = {
  description: 'The answer; with `"stream": true` as events, the last of them `[DONE]`.',
  content: {
    'application/json': { schema: anyOf([turnResponse, chatResponse]) },
    'text/event-stream': { schema: anyOf([...turnEvents, chatChunk]) },
  },
}

const checkTurn = validatorCompiler({ schema: turnRequest, httpPart: 'body' } as never)
const checkChat = validatorCompiler({ schema: chatRequest, httpPart: 'body' } as never)

/** By the one form that a body can be meant as: of both, the complaint would be about the other. */
const checkForm: FastifySchemaCompiler<Schema> = () => (value: unknown) => {
  const body = (typeof value === 'object' && value) || {}
  return 'messages' in body && !('message' in body) ? checkChat(value) : checkTurn(value)
}

function turnHandler(components: ChatComponents, options: GenerationOptions) {
  const { market, sessions, random, emit = noEvents, till } = components
  const generate = patient(market.generate, components, options)
  return async (request: TurnOnly, reply: FastifyReply): Promise<object> => {
    const { body, principal } = request
    const { account } = principal
    refuseAttachments(body)
    const signal = clientSignal(reply)
    const sampling = toSampling(body, random)
    if (body.max_tokens != null) sampling.maxTokens = body.max_tokens
    const model = await chooseModel(market, body.model, 'chat', signal)
    const open = await sessions.begin({
      ...{ account, model: model.name, message: body.message },
      sessionId: body.session_id ?? undefined,
      instructions: body.instructions ?? undefined,
      clientRequestId: body.client_request_id ?? undefined,
    })
    try {
      const jobOf = (messages: Message[]) =>
        toJob(request, model, { kind: 'chat', messages, sampling }, components)
      const said = { instructions: open.session.instructions, message: body.message }
      const room = { contextLength: model.contextLength, maxTokens: sampling.maxTokens }
      const asking = new Asking({ generate, jobOf, open }, said, room)
      const turn: RunningTurn = {
        request,
        completionId: completionId(request.id),
        sessionId: open.session.id,
        save: async (said) => {
          const credits = await creditsOf(asking.jobId, till)
          const json = ({ session, turn }: SavedTurn): TurnJson =>
            turnJson(request, session.id, turn, credits)
          const tell = (saved: SavedTurn, rows: Batch) => {
            if (said.status === 'cancelled') return
            emit({ account, type: 'chat.completed', data: { object: json(saved) } }, rows)
          }
          return json(await open.save({ ...said, promptBytes: asking.promptBytes }, tell))
        },
      }
      if (body.stream === true) {
        await streamTurn(asking.chunks(signal), turn, { ...components, reply }, options)
        return reply
      }
      const answer = await collectAnswer(asking.chunks(signal))
      const { inputTokens, outputTokens } = answer.usage
      const content = answer.choices[0]?.text ?? ''
      const saved = await turn.save({ content, status: 'completed', inputTokens, outputTokens })
      return { ...saved, ...attribute(reply, answer) }
    } finally {
      open.leave()
    }
  }
}

function turnJson(
  { body, id }: TurnOnly,
  sessionId: string,
  { assistant }: SavedTurn['turn'],
  credits: CreditsJson,
): TurnJson {
  return {
    id: completionId(id),
    object: 'chat.completion',
    session_id: sessionId,
    model: body.model,
    created_at: new Date(assistant.createdAt).toISOString(),
    message: { id: assistant.id, role: 'assistant', content: assistant.content },
    usage: usageJson(assistant.inputTokens, assistant.outputTokens),
    credits,
    client_request_id: body.client_request_id ?? null,
    request_id: id,
  }
}

/** What a job came to. Its charge is on the disk before its answer ends; a free one has none. */
async function creditsOf(jobId: string, { ledger }: ChatComponents['till']): Promise<CreditsJson> {
  const { reserved = 0, amount = 0 } = (await ledger.chargeOf(jobId)) ?? {}
  return { reserved, final: 0 - amount }
}

const completionId = (requestId: string): string => `chatcmpl_${requestId.replace(/^req_/, '')}`

function refuseAttachments({ attachments }: TurnRequest): void {
  if (attachments == null || attachments.length === 0) return
  throw new PeerError(
    'chat_attachment_not_supported',
    'No served model sees pictures yet. Send the message without `attachments`.',
    { param: 'attachments' },
  )
}
