// Events of an answer whose drafts are shown, as their JSON is. What they mean and what may follow
// what: protocols/v8-stream/spec.md.

interface InAnswer {
  /** `req_…`; in each event of an answer the same. */
  request_id: string
}

/** The first event: who makes the answer. */
export interface StreamOpen extends InAnswer {
  event: 'stream.open'
  job_id: string
  /** As the client called it. */
  model: string
  node: V8Node
  /** Of the node's open receipt. */
  open_cid: string | null
}

/** A peer as it declares itself. */
export interface V8Node {
  /** A peer id. */
  id: string
  /** Null: it computes on its CPU. */
  gpu: string | null
  country: string | null
}

/** A token that somebody drafted: it may be taken back. */
export interface TokenProvisional extends InAnswer {
  event: 'token.provisional'
  /** Its place in the answer, from 0. */
  id: number
  text: string
  /** The peer id of who drafted it. */
  draft_node: string
  /** From when the request came. */
  ts_ms: number
}

/** A token of the answer, drafted or not: it stays. */
export interface TokenCommit extends InAnswer {
  event: 'token.commit'
  id: number
  /** Settled text; not always of this token alone, and sometimes none. */
  text: string
  logprob: number | null
  /** No token, but more text of `id`, which is the last one that was committed. */
  rest?: boolean
}

/** Drafts from `from_id` on are gone. */
export interface TokenRollback extends InAnswer {
  event: 'token.rollback'
  from_id: number
  reason: string
}

/** A receipt over the tokens from one to the other, both included. */
export interface ReceiptBound extends InAnswer {
  event: 'receipt.bound'
  cid: string
  segment_start: number
  segment_end: number
}

/** The end of a whole answer. */
export interface TokenFinalize extends InAnswer {
  event: 'token.finalize'
  /** That of `receipt`. */
  final_cid: string | null
  tokens_committed: number
  tokens_rolled_back: number
  finish_reason: string
  usage: V8Usage
  receipt: V8Receipt | null
}

export interface V8Usage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
}

/** What the caller is told of the receipt; with the nonce the prompt can be held against it. */
export interface V8Receipt {
  cid: string
  multiformats_cid: string
  status: string
  node_id: string
  prompt_nonce: string
  /** So often another peer went on with the answer. */
  resumed?: number
  nodes?: string[]
}

/** The end of an answer that broke off. */
export interface StreamError {
  event: 'error'
  /** Readers don't ask for it. */
  request_id?: string
  error: { message: string; type: string | null; param: string | null; code: string | null }
}

export type V8Event =
  | StreamOpen
  | TokenProvisional
  | TokenCommit
  | TokenRollback
  | ReceiptBound
  | TokenFinalize
  | StreamError

/** `data` of the last line of a whole stream: OpenAI's clients wait for it. */
export const V8_DONE = '[DONE]'

/** What a writer keeps to and a reader takes. Bytes are of UTF-8. */
export const v8Limits = {
  /** Of one event's JSON: the longest text, if all of it had to be escaped. */
  eventBytes: 256 * 1024,
  /** Of one event's text: what a frame of `generate/1` holds. */
  textBytes: 32 * 1024,
  /** Drafts that stand at a time. */
  ghosts: 256,
  /** Of their texts together. */
  ghostBytes: 32 * 1024,
  /** Of an answer: what another peer could go on with. */
  tokens: 2 ** 20,
  /** Of an answer. */
  answerBytes: 16 * 1024 * 1024,
  /** Drafts that are taken back for each token of the answer, and from the start. */
  rolledBackPerToken: 256,
  rolledBackAtFirst: 4096,
} as const
