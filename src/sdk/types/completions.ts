// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

import type { AnswerNode, AnswerReceipt, MaxPrice, NodeChoice, TokenUsage } from './chat.ts'

/** What `POST /v1/completions` takes. */
export interface CompletionRequest {
  /** A name from GET /v1/models. */
  model: string
  /** Text to go on from, or cl100k token ids; one or several. */
  prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
  stream?: boolean | null | undefined
  /**
   * Only together with stream. v8: events that show drafts of tokens too, and what becomes of them.
   * For one answer of plain text.
   */
  stream_mode?: 'v8' | null | undefined
  /** Only together with stream. */
  stream_options?:
    | {
        /** A last chunk without choices carries the usage. */
        include_usage?: boolean | null | undefined
        /** Pad the chunks, so that their length does not tell the text. */
        include_obfuscation?: boolean | null | undefined
      }
    | null
    | undefined
  temperature?: number | null | undefined
  top_p?: number | null | undefined
  /** The same seed and request give the same answer. Absent: drawn at random. */
  seed?: number | null | undefined
  n?: number | null | undefined
  /** The answer ends before the first of these. */
  stop?: string | readonly string[] | null | undefined
  /** Lowers tokens that occurred. */
  presence_penalty?: number | null | undefined
  /** Lowers tokens by how often they occurred. */
  frequency_penalty?: number | null | undefined
  /** Ids of the model's own vocabulary; -100 bans a token, 100 forces it. */
  logit_bias?: Record<string, number> | null | undefined
  max_tokens?: number | null | undefined
  logprobs?: number | null | undefined
  /** Begin with the prompt. */
  echo?: boolean | null | undefined
  /** Not in this version: only the same as n. */
  best_of?: number | null | undefined
  user?: string | null | undefined
  metadata?: Record<string, string> | null | undefined
  store?: boolean | null | undefined
  service_tier?: string | null | undefined
  safety_identifier?: string | null | undefined
  prompt_cache_key?: string | null | undefined
  prompt_cache_retention?: string | null | undefined
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

/** What `POST /v1/completions` answers. */
export interface Completion {
  id: string
  object: 'text_completion'
  created: number
  model: string
  system_fingerprint?: string
  service_tier?: string
  request_id: string
  headers?: Record<string, string>
  node?: AnswerNode
  receipt?: AnswerReceipt
  choices: {
    text: string
    /** Prompt times n plus number of the answer. */
    index: number
    logprobs: {
      tokens: string[]
      token_logprobs: number[]
      top_logprobs: Record<string, number>[]
      /** In characters. */
      text_offset: number[]
    } | null
    finish_reason: 'stop' | 'length' | null
  }[]
  usage?: TokenUsage | null
}

/** What `POST /v1/embeddings` takes. */
export interface EmbeddingRequest {
  /** A name from GET /v1/models. */
  model: string
  /** Text, or cl100k token ids; one or several. */
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
  /** base64: little-endian 32-bit floats. */
  encoding_format?: 'float' | 'base64' | null | undefined
  dimensions?: number | null | undefined
  user?: string | null | undefined
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
}

/** What `POST /v1/embeddings` answers. */
export interface Embeddings {
  object: 'list'
  data: {
    object: 'embedding'
    index: number
    embedding: number[] | string
  }[]
  model: string
  usage: {
    prompt_tokens: number
    total_tokens: number
  }
  request_id: string
  headers?: Record<string, string>
  receipt?: AnswerReceipt
}
