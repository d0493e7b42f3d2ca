// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

import type { AnswerNode, AnswerReceipt, MaxPrice, NodeChoice } from './chat.ts'

/** What `POST /api/v1/chat/completions` takes. */
export interface ChatTurnRequest {
  /** A name from GET /v1/models. */
  model: string
  message: string
  /** Of a session with this model that is to go on. Absent: a new one. */
  session_id?: string | null | undefined
  /** What the model is told before the conversation; kept with the session. */
  instructions?: string | null | undefined
  client_request_id?: string | null | undefined
  /** Files of the account; a turn takes none yet. With `messages`, images are shown. */
  attachments?:
    | readonly {
        file_id: string
      }[]
    | null
    | undefined
  stream?: boolean | null | undefined
  temperature?: number | null | undefined
  top_p?: number | null | undefined
  /** The same seed and request give the same answer. Absent: drawn at random. */
  seed?: number | null | undefined
  /** The answer ends before the first of these. */
  stop?: string | readonly string[] | null | undefined
  /** Lowers tokens that occurred. */
  presence_penalty?: number | null | undefined
  /** Lowers tokens by how often they occurred. */
  frequency_penalty?: number | null | undefined
  /** Absent: as many as the context has room for. */
  max_tokens?: number | null | undefined
  /**
   * ISO 3166 alpha-2, or EU for any of its members: only peers that say they are there see the
   * request. Where they are is declared by them, not verified. Default: that of the key.
   */
  jurisdiction?: string | null | undefined
  /**
   * Micro-credits per 1,000 tokens, for both kinds or for each: peers that ask for more are not
   * used.
   */
  max_price?: number | MaxPrice | null | undefined
  /** Peer ids to use or to avoid. */
  node?: NodeChoice | null | undefined
  /**
   * salted: the answer is hashed behind `receipt.prompt_nonce`, which the caller alone is told, so
   * that nobody can try texts out against its receipt.
   */
  receipt_privacy?: 'plain' | 'salted' | null | undefined
  /**
   * Peer ids, the best first: who may see the request too, to draft for whoever answers, besides
   * those that the owner of this peer allows. It changes neither the answer nor its price.
   */
  drafters?: readonly string[] | null | undefined
}

/** What `POST /api/v1/chat/completions` answers. */
export interface ChatTurn {
  /** chatcmpl_… */
  id: string
  object: 'chat.completion'
  session_id: string
  model: string
  created_at: string
  message: ReplyMessage
  usage: {
    input_tokens: number
    output_tokens: number
    total_tokens: number
  }
  credits: {
    /** Micro-credits set aside before the model was asked; 0 if free. */
    reserved: number
    /** What was charged in the end. */
    final: number
  }
  client_request_id: string | null
  request_id: string
  headers?: Record<string, string>
  receipt?: AnswerReceipt
}

/** An event of what `POST /api/v1/chat/completions` answers. */
export interface ChatStarted {
  id: string
  session_id: string
  model: string
  node?: AnswerNode
}

/** In what `POST /api/v1/chat/completions` answers. */
export interface ReplyMessage {
  id: string
  role: 'assistant'
  content: string
}

/** In what `GET /api/v1/chat/sessions` answers. */
export interface ChatSession {
  id: string
  object: 'chat.session'
  title: string
  model: string
  instructions: string | null
  message_count: number
  created_at: string
  updated_at: string
}

/** What `GET /api/v1/chat/sessions/{id}` answers. */
export interface ChatSessionWithMessages extends ChatSession {
  /** The newest of them, the oldest of those first. */
  messages: ChatSessionMessage[]
  /** There are earlier ones: `messages_before`. */
  messages_has_more: boolean
}

/** In what `GET /api/v1/chat/sessions/{id}` answers. */
export interface ChatSessionMessage {
  id: string
  /** Its place in the session, from 0. */
  index: number
  role: 'user' | 'assistant'
  content: string
  /** cancelled: the client left while it was being said; this much came. */
  status: 'completed' | 'cancelled'
  attachments: {
    file_id: string
  }[]
  usage: {
    input_tokens: number
    output_tokens: number
    total_tokens: number
  } | null
  client_request_id: string | null
  created_at: string
}

/** What `DELETE /api/v1/chat/sessions/{id}` answers. */
export interface DeletedChatSession {
  id: string
  object: 'chat.session'
  deleted: boolean
}
