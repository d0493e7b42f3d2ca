// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** In what `GET /v1/models` answers. */
export interface Model {
  id: string
  object: 'model'
  /** Seconds since the epoch, when it was first served or heard of here. */
  created: number
  owned_by: string
  /** Other peers serve it, and this one does not. */
  network: boolean
  /** Peers that serve it now, this one included. */
  nodes: number
  /** Of a model of this peer: a request for one that still loads waits for it. */
  state?: 'waiting' | 'loading' | 'ready' | 'restarting' | 'failed'
  /** Small enough to ship with the program; for trying out. */
  demo: boolean
  /** Names the weights: the CID of their file. */
  content_id?: string
  kind?: 'chat' | 'embedding'
  context_length?: number
  embedding_length?: number
  /**
   * What it does, as far as that is known: `chat`, `completion`, `logprobs`, `tools`, `json`,
   * `vision`, `embedding`.
   */
  capabilities?: string[]
  price?: {
    /** Micro-credits per 1,000 tokens, the lowest. */
    input: number
    output: number
  }
  /** Of loading, 0 to 1. */
  progress?: number
  error?: {
    code: string
    message: string
  }
}

/** In what `GET /api/v1/models` answers. */
export interface CatalogModel {
  id: string
  display_name: string
  category: 'chat' | 'embedding'
  /** Answered in the request, as a whole or as a stream. */
  runtime: 'sync'
  /** Before any token. */
  base_credits: number
  billing_type: 'TOKENS'
  price: {
    /** Micro-credits per 1,000 tokens, the lowest. */
    input: number
    output: number
  } | null
  supported_modes: string[]
  max_prompt_length: number | null
  reference_media: Record<string, unknown> | null
  params: Record<string, unknown>[]
  /** coming_soon: nobody serves it at the moment. */
  api_status: 'available' | 'coming_soon' | 'studio_only'
  api_input_status:
    | 'available_text'
    | 'available_url_input'
    | 'partial_requires_files'
    | 'requires_files_api'
  supported_api_inputs: string[]
  requires_files_api: boolean
  requires_upload_for_modes: string[]
  url_input_supported: boolean
  file_kinds: string[]
  /**
   * What it does, as far as that is known: `chat`, `completion`, `logprobs`, `tools`, `json`,
   * `vision`, `embedding`.
   */
  capabilities?: string[]
  chat_capabilities: {
    streaming: boolean
    sessions: boolean
    attachments: boolean
    web_search: boolean
    reasoning_effort: string[]
    context_length: number | null
  } | null
  notices: string[]
}
