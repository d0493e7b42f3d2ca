// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** In what `GET /v8/receipts/recent` answers. */
export interface ReceiptLine {
  object: 'receipt'
  version: 'RYV1'
  cid: string
  /** The same digest as a CIDv1. */
  multiformats_cid: string
  entry_cid: string | null
  /** open: the job was taken on. segment: of the beginning of an answer. */
  status: 'final' | 'segment' | 'open'
  /** The peer that signed it. */
  node: string
  model: string | null
  job_id: string
  tokens: {
    input: number
    cached: number
    output: number
  } | null
  created_at: string
  /** Checked anew from the stored bytes for this answer. */
  verified: boolean
}

/** What `GET /v8/receipts/{cid}` answers. */
export interface Receipt extends ReceiptLine {
  /** 64 hex digits. */
  node_pk: string
  result_hash: string | null
  metering_units: number | null
  /** Of an open receipt, as it was signed. */
  prompt_root?: string
  /** Likewise; 0 where they were not counted yet. */
  input_tokens?: number
  /** Its SHA-256 is in the CID, and is what is signed. */
  signed_payload: string
  /** Base64. */
  signature: string
  alg: 'Ed25519/SHA-256'
  content_id: string | null
  endpoint: string | null
  jurisdiction: {
    requested: string | null
    resolved: string | null
  }
  coordinator: string | null
  verdict: 'ok' | 'dispute' | null
  dispute: string | null
  count: 'verified' | 'bounded' | 'claimed' | null
  segments: {
    cid: string
    segment_end: number
  }[]
  final_cid: string | null
  resumed: boolean | null
  /** Where several worked on it. */
  parts?: ReceiptPart[]
  speculative: {
    draft_nodes: string[]
    drafted: number
    accepted: number
    rolled_back: number
  } | null
  fuzzy_trace: null
  retrieved_chunks: unknown[]
  privacy: 'plain' | 'salted' | null
  /** A file to check it with and nothing else: protocols/log/proof.schema.json. */
  proof: unknown
}

/** In what `GET /v8/receipts/{cid}` answers. */
export interface ReceiptPart {
  /** Of its entry; of its receipt where it left no entry. */
  cid: string
  node: string
  tokens: {
    input: number
    cached: number
    output: number
  }
  status: 'final' | 'segment'
}

/** What `GET /v1/receipts/{id}` answers. */
export interface RoutingReceipt {
  object: 'routing_receipt'
  version: 'PNV1'
  request_id: string
  /** The first that worked on the answer. */
  node_id: string
  model: string
  timestamp: string
  dispatched_at: string
  completed_at: string
  /** Micro-credits. */
  payment_amount: number
  payment: {
    amount: string
    unit: 'microcredit'
    currency: 'CREDIT'
    status: 'owed'
    payouts: {
      node_id: string
      amount: string
      owed_total: string
    }[]
  }
  usage: {
    input_tokens: number
    output_tokens: number
  }
  /** HMAC-SHA256 of the work under the prompt nonce, in hex. */
  prompt_root: string
  output_hash: string | null
  verdict: 'ok' | 'dispute'
  dispute: string | null
  count: 'verified' | 'bounded' | 'claimed'
  parts: ReceiptPart[]
  attempts: {
    node_id: string
    outcome: string
    ms: number
  }[]
  /** 64 hex digits. */
  coordinator_public_key: string
  /** 128 hex digits, over `signed_payload_b64`. */
  coordinator_signature: string
  signed_payload_b64: string
  attestation: {
    /** none: the coordinator proves nothing about its machine. */
    type: string
    document: null
    pcrs: null
  }
  ryv1_cid: string | null
  entry_cid: string
  verified: boolean
}

/** What `GET /v8/receipts/{cid}/lineage` answers. */
export interface ReceiptLineage {
  object: 'receipt.lineage'
  cid: string
  job_id: string
  request: string | null
  prompt_root: string | null
  model: string | null
  content_id: string | null
  /** The first one first. */
  steps: LineageStep[]
  /** CIDs of entries that the routing names, not here. */
  missing: string[]
  /** Whether all of `proof` holds, or the one signature there is. */
  verified: boolean
  /** A file to check it with and nothing else: protocols/log/proof.schema.json. */
  proof: unknown
}

/** In what `GET /v8/receipts/{cid}/lineage` answers. */
export interface LineageStep {
  /**
   * open: a node took the work on. segment, receipt: it signed what it had written. execution: the
   * entry of its log. whole: the coordinator’s receipt over the work of several. routing: the entry
   * of the coordinator’s log.
   */
  step: 'open' | 'segment' | 'receipt' | 'execution' | 'whole' | 'routing'
  cid: string
  /** The peer that says so. */
  by: string
  job_id: string
  at: string | null
  /** CIDs of the steps that it rests on. */
  from: string[]
  signed: boolean | null
  /** In which log, under a head of which size. */
  place: {
    author: string
    epoch: string
    index: number
    size: number
  } | null
}

/** In what `GET /v8/log/heads` answers. */
export interface LogHead {
  object: 'log.head'
  /** A peer id. */
  author: string
  /** Which of its logs: 16 hex digits. */
  epoch: string
  size: number
  /** 64 hex digits. */
  root: string
  at: string
  /** The first entry that is still here. */
  start: number
  /** Base64 of what is signed, behind PNV1|head|<network>|. */
  head: string
  head_signature: string
}

/** A line of what `GET /v8/log/{author}` answers. */
export interface LogPart extends LogHead {
  /** The first entry below. */
  from: number
  /** Behind the last entry below; `from` of the next part. */
  end: number
  /** Of the tree over the entries before `from`, the largest first, in hex. */
  peaks: string[]
  /** Of consistency, from the tree over the entries before `end` to the root. */
  path: string[]
}

/** A line of what `GET /v8/log/{author}` answers. */
export interface LogEntry {
  index: number
  cid: string
  entry_b64: string
}
