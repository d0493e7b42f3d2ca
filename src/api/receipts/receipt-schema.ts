import {
  anything,
  array,
  boolean,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  oneOf,
  onlyNull,
  optional,
  string,
} from '../schema.ts'

export const statusField = oneOf(['final', 'segment', 'open'], {
  description: 'open: the job was taken on. segment: of the beginning of an answer.',
})

const tokens = object({ input: integer(), cached: integer(), output: integer() })
const country = nullable(string({ description: 'ISO 3166 alpha-2, declared, not verified.' }))

const lite = {
  object: literal('receipt'),
  version: literal('RYV1'),
  cid: string(),
  multiformats_cid: string({ description: 'The same digest as a CIDv1.' }),
  entry_cid: nullable(string({ description: 'Of the entry of a log that tells of it.' })),
  status: statusField,
  node: string({ description: 'The peer that signed it.' }),
  model: nullable(string({ description: 'Not signed by itself; its entry is.' })),
  job_id: string(),
  tokens: nullable(tokens),
  created_at: string(),
  verified: boolean({ description: 'Checked anew from the stored bytes for this answer.' }),
}

/** As lists have it. */
export const receiptLiteSchema = object(lite)
export type ReceiptLiteJson = Infer<typeof receiptLiteSchema>

/** One of those that worked on an answer. */
export const partSchema = object({
  cid: string({ description: 'Of its entry; of its receipt where it left no entry.' }),
  node: string(),
  tokens,
  status: oneOf(['final', 'segment']),
})

export const receiptSchema = object({
  ...lite,
  node_pk: string({ description: '64 hex digits.' }),
  result_hash: nullable(string({ description: '64 hex digits; null while the work is open.' })),
  metering_units: nullable(integer()),
  prompt_root: optional(string({ description: 'Of an open receipt, as it was signed.' })),
  input_tokens: optional(integer({ description: 'Likewise; 0 where they were not counted yet.' })),
  signed_payload: string({ description: 'Its SHA-256 is in the CID, and is what is signed.' }),
  signature: string({ description: 'Base64.' }),
  alg: literal('Ed25519/SHA-256'),
  content_id: nullable(string({ description: 'The model by its content.' })),
  endpoint: nullable(string()),
  jurisdiction: object({ requested: country, resolved: country }),
  coordinator: nullable(string({ description: 'The peer that had the work done.' })),
  verdict: nullable(oneOf(['ok', 'dispute'])),
  dispute: nullable(string()),
  count: nullable(oneOf(['verified', 'bounded', 'claimed'])),
  segments: array(object({ cid: string(), segment_end: integer() })),
  final_cid: nullable(
    string({ description: 'Of an open receipt or a segment, once it is known.' }),
  ),
  resumed: nullable(boolean({ description: 'A peer was lost in the middle; another went on.' })),
  parts: optional(array(partSchema, { description: 'Where several worked on it.' })),
  speculative: nullable(
    object({
      draft_nodes: array(string()),
      drafted: integer(),
      accepted: integer(),
      rolled_back: integer(),
    }),
  ),
  fuzzy_trace: onlyNull(),
  retrieved_chunks: array(anything()),
  privacy: nullable(oneOf(['plain', 'salted'])),
  proof: nullable(anything(), {
    description: 'A file to check it with and nothing else: protocols/log/proof.schema.json.',
  }),
})
export type ReceiptJson = Infer<typeof receiptSchema>

export const receiptListSchema = object({
  object: literal('list'),
  data: array(receiptLiteSchema),
  has_more: boolean(),
  first_id: nullable(string()),
  last_id: nullable(string({ description: 'For `after`, to go on.' })),
})
export type ReceiptListJson = Infer<typeof receiptListSchema>

export const routingReceiptSchema = object({
  object: literal('routing_receipt'),
  version: literal('PNV1'),
  request_id: string(),
  node_id: string({ description: 'The first that worked on the answer.' }),
  model: string(),
  timestamp: string(),
  dispatched_at: string(),
  completed_at: string(),
  payment_amount: integer({ description: 'Micro-credits.' }),
  payment: object({
    amount: string(),
    unit: literal('microcredit'),
    currency: literal('CREDIT'),
    status: literal('owed'),
    payouts: array(object({ node_id: string(), amount: string(), owed_total: string() })),
  }),
  usage: object({ input_tokens: integer(), output_tokens: integer() }),
  prompt_root: string({ description: 'HMAC-SHA256 of the work under the prompt nonce, in hex.' }),
  output_hash: nullable(string()),
  verdict: oneOf(['ok', 'dispute']),
  dispute: nullable(string()),
  count: oneOf(['verified', 'bounded', 'claimed']),
  parts: array(partSchema),
  attempts: array(object({ node_id: string(), outcome: string(), ms: integer() })),
  coordinator_public_key: string({ description: '64 hex digits.' }),
  coordinator_signature: string({ description: '128 hex digits, over `signed_payload_b64`.' }),
  signed_payload_b64: string(),
  attestation: object({
    type: string({ description: 'none: the coordinator proves nothing about its machine.' }),
    document: onlyNull(),
    pcrs: onlyNull(),
  }),
  ryv1_cid: nullable(string()),
  entry_cid: string(),
  verified: boolean(),
})
export type RoutingReceiptJson = Infer<typeof routingReceiptSchema>
