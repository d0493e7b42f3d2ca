// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** What `POST /v1/chat/completions` takes. */
export interface ChatCompletionRequest {
  /** A name from GET /v1/models. */
  model: string
  messages: readonly ChatMessage[]
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
  /** Absent: as many as the context has room for. */
  max_completion_tokens?: number | null | undefined
  /** The older name of max_completion_tokens. */
  max_tokens?: number | null | undefined
  logprobs?: boolean | null | undefined
  /** Only together with logprobs. */
  top_logprobs?: number | null | undefined
  /** Functions that the model may ask for. Only of models that have `tools` among their capabilities. */
  tools?: readonly ChatTool[] | null | undefined
  /** Only together with tools. Absent: auto. */
  tool_choice?:
    | 'none'
    | 'auto'
    | 'required'
    | {
        type: 'function'
        function: {
          /** Letters, digits, underscores and dashes. */
          name: string
        }
      }
    | null
    | undefined
  /** false: one call at a time. Without tools of no effect. */
  parallel_tool_calls?: boolean | null | undefined
  /** JSON is for models that have `json` among their capabilities. Absent: plain text. */
  response_format?: ResponseFormat | null | undefined
  user?: string | null | undefined
  metadata?: Record<string, string> | null | undefined
  store?: boolean | null | undefined
  service_tier?: string | null | undefined
  safety_identifier?: string | null | undefined
  prompt_cache_key?: string | null | undefined
  prompt_cache_retention?: string | null | undefined
  verbosity?: string | null | undefined
  prompt_cache_options?: Record<string, unknown> | null | undefined
  moderation?: Record<string, unknown> | null | undefined
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

/** In what `POST /v1/chat/completions` takes. */
export interface ChatMessage {
  /** A developer message is a system message; a tool message says what came of a call. */
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool'
  /** Only a message with tool calls may lack it. */
  content?:
    | string
    | readonly {
        type: 'text' | 'image_url'
        /** Of a text. */
        text?: string | null | undefined
        /** Of an image, in a user message. Only of models that have `vision` among their capabilities. */
        image_url?:
          | {
              /** data:image/…;base64,… or an https URL, which this peer fetches: a PNG, JPEG, WebP or GIF. */
              url: string
              detail?: 'auto' | 'low' | 'high' | null | undefined
            }
          | null
          | undefined
        prompt_cache_breakpoint?: unknown | undefined
      }[]
    | null
    | undefined
  /** Informs; models do not see it. */
  name?: string | null | undefined
  /** Tool calls in an earlier answer. */
  tool_calls?:
    | readonly {
        id: string
        type: 'function'
        function: {
          /** Letters, digits, underscores and dashes. */
          name: string
          arguments: string
        }
      }[]
    | null
    | undefined
  /** Which call a tool message answers. */
  tool_call_id?: string | null | undefined
}

/** What `POST /v1/chat/completions` answers. */
export interface ChatCompletion {
  id: string
  /** Seconds since the epoch. */
  created: number
  model: string
  system_fingerprint?: string
  service_tier?: string
  request_id: string
  object: 'chat.completion'
  headers?: Record<string, string>
  receipt?: AnswerReceipt
  choices: {
    index: number
    message: {
      role: 'assistant'
      content: string | null
      refusal: null
      tool_calls?: ChatToolCall[]
    }
    logprobs: {
      content: {
        token: string
        logprob: number
        bytes: number[]
        top_logprobs: {
          token: string
          logprob: number
          bytes: number[]
        }[]
      }[]
      refusal: null
    } | null
    finish_reason: 'stop' | 'length' | 'tool_calls' | null
  }[]
  usage: TokenUsage
}

/** An event of what `POST /v1/chat/completions` answers. */
export interface ChatCompletionChunk {
  id: string
  /** Seconds since the epoch. */
  created: number
  model: string
  system_fingerprint?: string
  service_tier?: string
  request_id: string
  object: 'chat.completion.chunk'
  node?: AnswerNode
  receipt?: AnswerReceipt
  choices: {
    index: number
    delta: {
      role?: 'assistant'
      content?: string | null
      refusal?: null
      tool_calls?: {
        index: number
        id?: string
        type?: 'function'
        function: {
          name?: string
          arguments: string
        }
      }[]
    }
    logprobs: {
      content: {
        token: string
        logprob: number
        bytes: number[]
        top_logprobs: {
          token: string
          logprob: number
          bytes: number[]
        }[]
      }[]
      refusal: null
    } | null
    finish_reason: 'stop' | 'length' | 'tool_calls' | null
  }[]
  usage?: TokenUsage | null
  obfuscation?: string
}

/** In what `POST /v1/chat/completions` takes. */
export interface ChatTool {
  type: 'function'
  function: {
    /** Letters, digits, underscores and dashes. */
    name: string
    description?: string | null | undefined
    parameters?: Record<string, unknown> | null | undefined
    strict?: boolean | null | undefined
  }
}

/** In what `POST /v1/chat/completions` answers. */
export interface ChatToolCall {
  id: string
  type: 'function'
  function: {
    name: string
    arguments: string
  }
}

/** In what `POST /v1/chat/completions` takes. */
export interface ResponseFormat {
  type: 'text' | 'json_object' | 'json_schema'
  /** Only together with the type of this name. */
  json_schema?:
    | {
        /** Letters, digits, underscores and dashes. */
        name: string
        description?: string | null | undefined
        schema?: Record<string, unknown> | null | undefined
        strict?: boolean | null | undefined
      }
    | null
    | undefined
}

/** In what `POST /v1/chat/completions` answers. */
export interface TokenUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details: {
    cached_tokens: number
  }
  completion_tokens_details: {
    reasoning_tokens: number
  }
}

/** In what `POST /v1/chat/completions` answers. */
export interface AnswerReceipt {
  /** GET /v8/receipts/{cid} shows it to everybody. */
  cid: string
  multiformats_cid: string
  /** partial: it does not cover a whole answer. */
  status: 'final' | 'partial'
  node_id: string
  /** For the caller alone: with it, the prompt can be held against the prompt root. */
  prompt_nonce: string
  /** So often another peer went on, the one before being lost. */
  resumed?: number
  /** The peers that worked on it then, in turn. */
  nodes?: string[]
}

/** In what `POST /v1/chat/completions` answers. */
export interface AnswerNode {
  id: string
  gpu: string | null
  country: string | null
}

/** In what `POST /v1/chat/completions` takes. */
export interface MaxPrice {
  input: number
  output: number
}

/** In what `POST /v1/chat/completions` takes. */
export interface NodeChoice {
  /** Nobody else. */
  only?: readonly string[] | null | undefined
  /** None of these. */
  not?: readonly string[] | null | undefined
}
