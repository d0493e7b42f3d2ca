import type { SealedEntry } from './entry.ts'
import type { Job } from './job.ts'
import type { Receipt } from './receipt.ts'

/** A job goes down, chunks come up; aborting the signal stops both. After an abort one last `done` comes. */
export type Generate = (job: Job, options: { signal: AbortSignal }) => AsyncIterable<Chunk>

export type Chunk =
  | Accepted
  | Progress
  | Routed
  | Tokens
  | Provisional
  | RolledBack
  | Vectors
  | Segmented
  | Done

/** The job was admitted: its prompt is counted and fits. Only `progress` may come before it. */
export interface Accepted {
  type: 'accepted'
  inputTokens: number
  /** Of whoever signs its work: the CID of that it took on this job. */
  openCid?: string
}

/** Something happens although no token comes: place in the queue, or how much of the prompt is read. */
export interface Progress {
  type: 'progress'
  /** Jobs before this one; 0 once it runs. */
  queued: number
  prefilled: number
  total: number
}

/** From a coordinator alone, right before the first tokens or vectors: who makes this answer. */
export interface Routed {
  type: 'routed'
  node: Node
  model: { name: string; id?: string }
  inputTokens: number
  route: Route
  /** The CID of the node's open receipt: what can be named before there are tokens. */
  openCid?: string
}

/** A peer as a client is told of it: as declared by that peer, measured by nobody. */
export interface Node {
  id: string
  /** Undefined: it computes on its CPU. */
  gpu?: string
  country?: string
}

/** How the peer that answers was found. */
export interface Route {
  /** The best first, those that were tried among them; a peer that asks itself has one. */
  candidates: { node: string; score: number; reasons: string[] }[]
  /** Why others were not asked: reason → how many. */
  excluded: Record<string, number>
  attempts: { node: string; outcome: string; ms: number }[]
  /** So often another peer went on with the answer. */
  resumed?: number
}

/** Tokens whose text is settled: whole characters, and certainly not the start of a stop string. */
export interface Tokens {
  type: 'tokens'
  choice: number
  /** Position of `ids[0]` in this choice's answer. */
  index: number
  ids: number[]
  text: string
  /** One for each id, when the job asked for them. */
  logprobs?: TokenLogprob[]
  /** The text is a part of this call's arguments, and not of what is said. */
  call?: CallPlace
}

/** A call that the model asks for; the first piece says all of it but the arguments. */
export interface CallPlace {
  /** Among those of its choice, from 0. */
  index: number
  id: string
  name: string
}

/**
 * To who watches alone: what is guessed to come behind the tokens so far. It replaces what was guessed
 * at its places and behind them, and `tokens` with these places settle it. No part of the answer.
 */
export interface Provisional {
  type: 'provisional'
  choice: number
  /** Position of `ids[0]`; the first places may be of tokens that are drawn, and whose text is not settled. */
  index: number
  ids: number[]
  /** Whole characters. */
  text: string
  /** As in `Drafted`; from a coordinator always a peer id. */
  drafter: string
}

/** To who watches alone: what was guessed from this position on is void. */
export interface RolledBack {
  type: 'rollback'
  choice: number
  from: number
  reason: RollbackReason
}

export type RollbackReason = 'token_mismatch' | 'stop_sequence' | 'cancelled' | 'node_lost'

/** What became of one drafter's guesses: each is accepted, and in the answer, or rolled back. */
export interface Drafted {
  /** A peer id, or a word for what drafts on the machine of who answers. */
  drafter: string
  drafted: number
  accepted: number
  rolledBack: number
}

export interface TokenLogprob {
  token: string
  /** The token's bytes; a token may hold a part of a character. */
  bytes: number[]
  logprob: number
  top: { token: string; bytes: number[]; logprob: number }[]
}

/** Embeddings, in the order of the inputs, each of length 1. */
export interface Vectors {
  type: 'vectors'
  /** Index of the input that `vectors[0]` belongs to. */
  first: number
  vectors: Float32Array[]
}

/** Behind the tokens that it covers: what was signed of the answer so far. */
export interface Segmented {
  type: 'segment'
  /** Tokens that it covers. */
  end: number
  /** From a coordinator: where in the answer the first of them is; without it, at 0. */
  start?: number
  receipt: Receipt
}

export type Finish = 'stop' | 'length' | 'tool_calls' | 'cancelled'

export interface Usage {
  inputTokens: number
  /** Of the input: taken from the prefix cache instead of being computed. */
  cachedTokens: number
  outputTokens: number
}

/** Always the last chunk. */
export interface Done {
  type: 'done'
  /** One for each choice; empty for embeddings. */
  finish: Finish[]
  usage: Usage
  /** Of those that guessed anything. */
  drafting?: Drafted[]
  /** From whoever did the work, if it signs what it does. */
  issued?: Issued
  /** From a coordinator: what it tells the one who asked. */
  receipt?: AnswerReceipt
  /** Likewise, of an answer that more than one provider worked on. */
  resumed?: Resumed
}

/** A provider was lost in the middle, and another went on. */
export interface Resumed {
  times: number
  /** Those whose work is in the answer, in turn. */
  nodes: string[]
  /** As it is at the end. */
  route: Route
}

/** What a node signed of one job. */
export interface Issued {
  receipt: Receipt
  /** The entry of its log. */
  execution: SealedEntry
}

/** The receipt of an answer, as the caller alone is told of it. */
export interface AnswerReceipt {
  /** `ryv1:sha256:…`, and the same digest as `bafkrei…`. */
  cid: string
  multiformatsCid: string
  /** partial: it does not cover a whole answer. */
  status: 'final' | 'partial'
  /** The peer that signed it. */
  nodeId: string
  /** 64 hex digits: with them the prompt can be held against the receipt's prompt root. */
  promptNonce: string
}
