import {
  anyOf,
  boolean,
  integer,
  literal,
  nullable,
  number,
  object,
  optional,
  string,
} from '../schema.ts'
import { finishField, nodeSchema, receiptField } from './fields.ts'

// The events of `"stream_mode": "v8"`, for the documentation. What they mean, and what may follow
// what, protocols/v8-stream/spec.md says.

const requestId = string({ description: 'The same in all events of an answer.' })
const text = string({ description: 'Text, which is to be escaped for where it is shown.' })
const place = integer({ description: "The token's place in the answer, from 0." })

const open = object({
  event: literal('stream.open'),
  request_id: requestId,
  job_id: string(),
  model: string(),
  node: nodeSchema,
  open_cid: nullable(string(), { description: "Of the node's open receipt." }),
})

const provisional = object({
  event: literal('token.provisional'),
  request_id: requestId,
  id: place,
  text,
  draft_node: string({ description: 'Who drafted it. It may be taken back.' }),
  ts_ms: integer({ description: 'Since the request came.' }),
})

const commit = object({
  event: literal('token.commit'),
  request_id: requestId,
  id: place,
  text,
  logprob: nullable(number()),
  rest: optional(boolean({ description: 'No token, but more text of the last one.' })),
})

const rollback = object({
  event: literal('token.rollback'),
  request_id: requestId,
  from_id: integer({ description: 'Drafts from here on are gone.' }),
  reason: string(),
})

const bound = object({
  event: literal('receipt.bound'),
  request_id: requestId,
  cid: string({ description: 'Of a receipt over the tokens of the segment alone.' }),
  segment_start: integer({ description: 'Its first token.' }),
  segment_end: integer({ description: 'Its last token.' }),
})

const finalize = object({
  event: literal('token.finalize'),
  request_id: requestId,
  final_cid: nullable(string()),
  tokens_committed: integer(),
  tokens_rolled_back: integer(),
  finish_reason: finishField,
  usage: object({
    prompt_tokens: integer(),
    completion_tokens: integer(),
    total_tokens: integer(),
  }),
  receipt: nullable(receiptField),
})

const failed = object({
  event: literal('error'),
  request_id: requestId,
  error: object({
    message: string(),
    type: string(),
    param: nullable(string()),
    code: nullable(string()),
  }),
})

export const v8Event = anyOf([open, provisional, commit, rollback, bound, finalize, failed])
