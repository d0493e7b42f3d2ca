import type { AnswerFormat, Calling, FunctionCall, OfferedFunction } from './functions.ts'
import type { Resume } from './generate.ts'
import type { ContentPart } from './images.ts'

/** What a caller wants done, in our own words: nothing of OpenAI's dialect comes below `api/`. */
export interface Job {
  /** `job_…` */
  id: string
  /** The model's name as this network knows it. */
  model: string
  work: Work
  /** What the client already has of each choice that has begun: the answer goes on behind it. */
  resume?: readonly Resume[]
  /** Whose prefix cache this job may use and fill. Opaque; one per account. */
  cacheScope: string
  /** Whose turn in a queue it takes; without it, that of its cache scope. */
  queueScope?: string
  /** The part of all slots that jobs of its turn may hold at once; without it, all. */
  queueShare?: number
  /** Who asked sees guesses too, as `provisional`. */
  watched?: boolean
  /** Peer ids: who may see what is asked, to draft for it; the best first. */
  drafters?: readonly string[]
  /** Neither who does it nor who had it done shows anybody that it was. */
  unpublished?: boolean
  /** What comes is compared with what another model says, by its ids alone: earlier ones need no text. */
  guesses?: boolean
  wishes?: Wishes
  origin?: Origin
}

/** Which request of a client it is for. */
export interface Origin {
  /** `req_…`; of its hash only do others ever hear. */
  requestId: string
  /** Whose request: never told to anybody else. */
  account: string
  /** As in `/v1/chat/completions`. */
  endpoint: string
  /** `key_…`: through which key, and what that may spend in all; never told to anybody else either. */
  keyId?: string
  creditLimit?: number
}

/** What the caller asks of whoever does the work. */
export interface Wishes {
  /** An ISO 3166 alpha-2 code, or `EU`: only peers that say they are there may see the content. */
  jurisdiction?: string
  /** Nobody who asks for more. */
  maxPrice?: Price
  /** Peer ids: nobody else; not these. */
  only?: string[]
  not?: string[]
  /** Who guesses the answer can't hold the guess against its receipts. */
  receiptPrivacy?: 'salted'
}

/** Micro-credits per 1,000 tokens. */
export interface Price {
  input: number
  output: number
}

export type Work = ChatWork | CompletionWork | EmbeddingWork

export interface ChatWork {
  kind: 'chat'
  messages: Message[]
  /** At least one, where there are any. */
  functions?: OfferedFunction[]
  /** Of these functions. */
  calling?: Calling
  /** One call at a time. */
  oneCall?: true
  format?: AnswerFormat
  sampling: Sampling
}

export interface CompletionWork {
  kind: 'completion'
  /** Choice `p * choices + i` is the i-th answer to prompt p. */
  prompts: string[]
  sampling: Sampling
}

export interface EmbeddingWork {
  kind: 'embedding'
  inputs: string[]
  /** Cut each vector to this length and scale it back to length 1. */
  dimensions?: number
}

/** result: what came of a call. */
export type Role = 'system' | 'user' | 'assistant' | 'result'

export interface Message {
  role: Role
  content: string
  /** Of a user: what there is in place of the content, which is then empty. */
  parts?: ContentPart[]
  /** Of the assistant alone: at least one, where there are any. */
  calls?: FunctionCall[]
  /** Of a result: the id of its call. */
  callId?: string
}

export interface Sampling {
  temperature: number
  topP: number
  /** The same seed, prompt and model draw the same tokens as far as the backend computes the same. */
  seed: number
  /** Answers per prompt. */
  choices: number
  /** Undefined: as many as the context has room for. */
  maxTokens?: number
  stop: string[]
  presencePenalty: number
  frequencyPenalty: number
  /** Added to the logit of each of the model's own token ids. -100 bans, 100 forces. */
  logitBias: [token: number, bias: number][]
  /** Undefined: none. Otherwise the log-probability of each token and of this many alternatives. */
  logprobs?: number
}

export const limits = {
  /** OpenAI's own; the lanes of one request wait for each other. */
  choicesMax: 128,
  /** OpenAI says 4; clients of other servers send more. Each is searched for in every token. */
  stopsMax: 64,
  stopBytesMax: 256,
  logitBiasMax: 1024,
  topLogprobsMax: 20,
  messagesMax: 4096,
  promptsMax: 128,
  embeddingInputsMax: 2048,
  /** Micro-credits per 1,000 tokens: a million credits a token. Who asks for more wants no work. */
  priceMax: 1_000_000_000_000,
  /** Peer ids in `only` and in `not`. */
  nodesMax: 64,
} as const
