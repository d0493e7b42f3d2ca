import type { V8Event } from '../../../src/wire/v8-event.ts'
import { alice, bob } from './cases.ts'

// Events of one answer, as plain as they can be.

export const requestId = 'req_01jd5x3k8m2n4p6q7r9s0tvwxy'
const receiptCid = 'ryv1:sha256:fda564ba3f7a0f028106d468420f674898ed99ac5bf2765ac9586206e39d73c5'
const multiformatsCid = 'bafkreih5uvslup32b4biccguz5eee2oitkgntoc7ez3fvslimihohhltyu'

const same = { request_id: requestId }

type Of<N extends V8Event['event']> = Extract<V8Event, { event: N }>

export const opened: Of<'stream.open'> = {
  event: 'stream.open',
  ...same,
  job_id: 'job_1.1',
  model: 'pinaivu-demo',
  node: { id: alice.peerId, gpu: null, country: null },
  open_cid: receiptCid,
}

export const draft = (id: number, text: string, more: object = {}): Of<'token.provisional'> => ({
  event: 'token.provisional',
  ...same,
  id,
  text,
  draft_node: bob.peerId,
  ts_ms: 14,
  ...more,
})

export const commit = (id: number, text: string, more: object = {}): Of<'token.commit'> => ({
  event: 'token.commit',
  ...same,
  id,
  text,
  logprob: -0.5,
  ...more,
})

export const rollback = (from: number, reason = 'token_mismatch'): Of<'token.rollback'> => ({
  event: 'token.rollback',
  ...same,
  from_id: from,
  reason,
})

export const bound = (start: number, end: number): Of<'receipt.bound'> => ({
  event: 'receipt.bound',
  ...same,
  cid: receiptCid,
  segment_start: start,
  segment_end: end,
})

export const finalize = (
  committed: number,
  rolledBack: number,
  more: object = {},
): Of<'token.finalize'> => ({
  event: 'token.finalize',
  ...same,
  final_cid: receiptCid,
  tokens_committed: committed,
  tokens_rolled_back: rolledBack,
  finish_reason: 'stop',
  usage: { prompt_tokens: 14, completion_tokens: committed, total_tokens: 14 + committed },
  receipt: {
    cid: receiptCid,
    multiformats_cid: multiformatsCid,
    status: 'final',
    node_id: alice.peerId,
    prompt_nonce: 'cc'.repeat(32),
  },
  ...more,
})

export const unsigned = { final_cid: null, receipt: null }

export const failed: Of<'error'> = {
  event: 'error',
  ...same,
  error: {
    message: 'The engine failed. Ask again.',
    type: 'server_error',
    param: null,
    code: 'engine_failed',
  },
}
