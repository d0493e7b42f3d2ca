import type { Finish, TokenLogprob, Usage } from './chunk.ts'
import type { Price } from './job.ts'

/** A message and whose it is; the signature covers the bytes as they are. */
export interface Signed {
  payload: Uint8Array
  signature: Uint8Array
}

/** Numbered as in `generate.proto`; a provider refuses a kind that it does not do. */
export const jobKinds = [
  'unknown',
  'chat',
  'completion',
  'embedding',
  'image',
  'speech',
  'transcription',
  'video',
  'draft',
  'score',
] as const
export type JobKind = (typeof jobKinds)[number]

/** A job for one provider. Its body follows in frames of its own. */
export interface WireJob {
  /** `<job id>.<attempt>` */
  jobId: string
  provider: string
  coordinator: string
  /** From its arrival; what is not begun by then is dropped. Clocks don't matter. */
  expiresInMs: number
  /** HMAC-SHA256 of the body under the nonce: what a receipt may say of the prompt. */
  promptRoot: Uint8Array
  promptNonce: Uint8Array
  /** The model's id. */
  model: string
  kind: JobKind
  bodyBytes: number
  /** How seed and position make a draw; empty: the provider's own way. */
  sampler: string
  seed: number
  /** 0: as many as there is room for. */
  maxOutputTokens: number
  firstTokenMs: number
  totalMs: number
  maxPrice?: Price
  verification: 'none' | 'cross-node'
  jurisdiction: string
  publish: 'receipts' | 'none'
  receiptPrivacy: 'plain' | 'salted'
  /** HMAC of the account under a secret of the coordinator, 32 bytes; or none. */
  cacheScope: Uint8Array
  /** The coordinator wants to see drafts. */
  provisional: boolean
  /** Peers that may see the prompt to draft for it. */
  drafters: string[]
  /** Of this request, from 1. */
  attempt: number
  /** What the client already has follows the body as a `Resumes` message; its length and SHA-256. */
  resumeBytes: number
  resumeHash: Uint8Array
}

/** Of one choice that has begun. */
export interface Resume {
  choice: number
  text: string
  ids: number[]
}

export type ToProvider =
  | { type: 'job'; job: Signed }
  | { type: 'body'; bytes: Uint8Array }
  /** Tokens received, for each choice. */
  | { type: 'cancel'; received: number[] }
  /** An empty `dispute` is an ok; `entry` is the routing entry, if there is one. */
  | { type: 'ack'; entry: Uint8Array; dispute: string }
  | { type: 'committed'; choice: number; first: number; ids: number[] }

export interface Fault {
  code: string
  message: string
  /** The field of the client's request, or empty. */
  param: string
  /** 0: it makes no sense to ask again. */
  retryAfterMs: number
}

export type FromProvider =
  | {
      type: 'accept'
      inputTokens: number
      price: Price
      /** Jobs that this coordinator may have open here at once. */
      allowance: number
      openSignature: Uint8Array
      resumedAt: number[]
    }
  | ({ type: 'refuse' } & Fault)
  /** `inputTokens` is 0 until they are counted. */
  | {
      type: 'progress'
      queued: number
      prefilled: number
      total: number
      inputTokens: number
    }
  | {
      type: 'tokens'
      choice: number
      first: number
      ids: number[]
      text: string
      logprobs: TokenLogprob[]
      channel: 'content' | 'reasoning' | 'tool'
      tool: { index: number; name: string; callId: string }
    }
  /** `values`: whole vectors of `length` numbers each, one after the other. */
  | { type: 'vectors'; first: number; length: number; values: Float32Array }
  | {
      type: 'provisional'
      choice: number
      first: number
      ids: number[]
      text: string
      drafter: string
    }
  | { type: 'commit'; choice: number; until: number }
  | { type: 'rollback'; choice: number; from: number; reason: string }
  | {
      type: 'segment'
      end: number
      units: number
      resultHash: Uint8Array
      signature: Uint8Array
    }
  | { type: 'media'; offset: number; data: Uint8Array; mimeType: string }
  | {
      type: 'done'
      finish: (Finish | 'unknown')[]
      usage: Usage
      receipt?: { resultHash: Uint8Array; meteringUnits: number; signature: Uint8Array }
      entry: Uint8Array
      drafting: { drafter: string; drafted: number; accepted: number; rolledBack: number }[]
    }
  | ({ type: 'failed' } & Fault)
