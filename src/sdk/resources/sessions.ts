import type { Call } from '../client/call.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type PageQuery, type Pages, pagesOf } from '../client/page.ts'
import type { Transport } from '../client/transport.ts'
import type {
  ChatSession,
  ChatSessionWithMessages,
  DeletedChatSession,
} from '../types/conversation.ts'

const sessions = '/api/v1/chat/sessions'

/** The conversations that the peer keeps for an account; `chat.send` goes on with one. */
export class Sessions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  list(query: PageQuery = {}, options?: CallOptions): Pages<ChatSession> {
    return pagesOf(query, (cursor) =>
      this.#transport.json<Page<ChatSession>>(
        { method: 'GET', path: sessions, query: { ...query, ...cursor } },
        options,
      ),
    )
  }

  /** With its newest messages, or those before the one with an index. */
  get(
    id: string,
    query: { messages_before?: number } = {},
    options?: CallOptions,
  ): Call<ChatSessionWithMessages> {
    return this.#transport.json({ method: 'GET', path: one(id), query }, options)
  }

  /** Gives it another title. */
  update(id: string, body: { title: string }, options?: CallOptions): Call<ChatSession> {
    return this.#transport.json({ method: 'PATCH', path: one(id), body }, options)
  }

  delete(id: string, options?: CallOptions): Call<DeletedChatSession> {
    return this.#transport.json({ method: 'DELETE', path: one(id) }, options)
  }
}

const one = (id: string): string => sessions + path`/${id}`
