import { bytesOf, type ChatSession, type ChatTurn } from '../../accounts/sessions/session-record.ts'
import { type SessionStore, sessionNotFound } from '../../accounts/sessions/session-store.ts'
import { InvalidError } from '../../base/errors.ts'
import { type PageQuery, pageFields, pageOf, pageSchema } from '../page-of.ts'
import type { RouteModule } from '../route.ts'
import { closed, type Infer, object, string } from '../schema.ts'
import {
  deletedSession,
  type messageSchema,
  sessionPatch,
  sessionQuery,
  sessionSchema,
  sessionWithMessages,
} from './chat-schema.ts'

const tags = ['Chat']
const params = object({ id: string({ description: '`sess_…`' }) })
const errors = ['chat_session_not_found']
type ById = { Params: Infer<typeof params> }
const read = { access: 'chat:read' } as const
const write = { access: 'chat:create' } as const

/** Of one answer; each has two messages. */
const TURNS_SHOWN = 100
/** And no more once there are so many bytes: a turn may have megabytes, and the answer is held whole. */
const BYTES_SHOWN = 4 * 1024 * 1024

/** `/chat/sessions` of the product surface; mount it at `/api/v1`. */
export function sessionRoutes({
  sessions,
}: {
  sessions: Pick<SessionStore, 'get' | 'list' | 'turns' | 'rename' | 'delete'>
}): RouteModule {
  return (app) => {
    app.get<{ Querystring: PageQuery }>(
      '/chat/sessions',
      {
        schema: {
          ...{ summary: 'List chat sessions', tags, querystring: closed(pageFields) },
          response: { 200: pageSchema(sessionSchema) },
        },
        config: read,
      },
      ({ query, principal: { account } }) =>
        pageOf(query, (range) => sessions.list(account, range), sessionJson),
    )
    app.get<ById & { Querystring: Infer<typeof sessionQuery> }>(
      '/chat/sessions/:id',
      {
        schema: {
          ...{ summary: 'A chat session and what was said', tags, params },
          ...{ querystring: sessionQuery, response: { 200: sessionWithMessages }, errors },
        },
        config: read,
      },
      async ({ query, principal: { account }, params: { id } }) => {
        const before = placeOf(query.messages_before)
        const session = await sessions.get(account, id)
        if (session === undefined) throw sessionNotFound()
        return { ...sessionJson(session), ...(await messagesBefore(session, before, sessions)) }
      },
    )
    app.patch<ById & { Body: Infer<typeof sessionPatch> }>(
      '/chat/sessions/:id',
      {
        schema: {
          ...{ summary: 'Give a chat session another title', tags, params },
          ...{ body: sessionPatch, response: { 200: sessionSchema }, errors },
        },
        config: write,
      },
      async ({ body, principal: { account }, params: { id } }) =>
        sessionJson(await sessions.rename(account, id, body.title)),
    )
    app.delete<ById>(
      '/chat/sessions/:id',
      {
        schema: {
          ...{ summary: 'Delete a chat session', tags, params },
          ...{ response: { 200: deletedSession }, errors },
        },
        config: write,
      },
      async ({ principal, params: { id } }): Promise<Infer<typeof deletedSession>> => {
        await sessions.delete(principal.account, id)
        return { id, object: 'chat.session', deleted: true }
      },
    )
  }
}

/** The turn that a message is of, or comes right behind: a turn is shown as a whole. */
function placeOf(index: string | undefined): number | undefined {
  if (index === undefined) return undefined
  if (/^\d{1,8}$/.test(index)) return Math.floor(Number(index) / 2)
  const message = "Invalid 'messages_before': expected the index of a message."
  throw new InvalidError('messages_before', message)
}

async function messagesBefore(
  session: ChatSession,
  before: number | undefined,
  sessions: Pick<SessionStore, 'turns'>,
) {
  let place = Math.min(before ?? session.turns, session.turns)
  const first = Math.max(0, place - TURNS_SHOWN)
  const messages: Infer<typeof messageSchema>[] = []
  let bytes = 0
  for await (const turn of sessions.turns(session, place)) {
    if (place === first || bytes >= BYTES_SHOWN) break
    place -= 1
    bytes += bytesOf(turn)
    messages.unshift(...messagesJson(turn, place))
  }
  return { messages, messages_has_more: place > 0 }
}

const isoTime = (ms: number): string => new Date(ms).toISOString()

export const sessionJson = (session: ChatSession): Infer<typeof sessionSchema> => ({
  id: session.id,
  object: 'chat.session',
  title: session.title,
  model: session.model,
  instructions: session.instructions,
  message_count: 2 * session.turns,
  created_at: isoTime(session.createdAt),
  updated_at: isoTime(session.updatedAt),
})

function messagesJson({ user, assistant }: ChatTurn, place: number): Infer<typeof messageSchema>[] {
  const { inputTokens, outputTokens } = assistant
  return [
    {
      ...{ id: user.id, index: 2 * place, role: 'user', content: user.content },
      ...{ status: 'completed', attachments: [], usage: null },
      client_request_id: user.clientRequestId,
      created_at: isoTime(user.createdAt),
    },
    {
      ...{ id: assistant.id, index: 2 * place + 1, role: 'assistant', content: assistant.content },
      ...{ status: assistant.status, attachments: [] },
      usage: usageJson(inputTokens, outputTokens),
      client_request_id: null,
      created_at: isoTime(assistant.createdAt),
    },
  ]
}

export const usageJson = (inputTokens: number, outputTokens: number) => ({
  input_tokens: inputTokens,
  output_tokens: outputTokens,
  total_tokens: inputTokens + outputTokens,
})
