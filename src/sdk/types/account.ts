// Written from the schemas of the routes by test/sdk/types.test.ts: see there.

/** In what `GET /api/v1/auth/api-keys` answers. */
export interface ApiKey {
  id: string
  object: 'api_key'
  name: string
  /** How the key begins. */
  prefix: string
  account: string
  scopes: string[]
  credit_limit: number | null
  rpm_limit: number | null
  tpm_limit: number | null
  concurrency_limit: number | null
  jurisdiction: string | null
  created_at: string
  last_used_at: string | null
  expires_at: string | null
  revoked_at: string | null
  rotated_at: string | null
  overlap_ends_at: string | null
}

/** What `POST /api/v1/auth/api-keys` takes. */
export interface NewApiKey {
  /** To recognise the key by. */
  name: string
  /** Default: the caller's own. */
  account?: string | null | undefined
  /** Default: all but keys:manage. */
  scopes?: readonly string[] | null | undefined
  expires_at?: string | null | undefined
  /** Micro-credits that this key may spend, in all. */
  credit_limit?: number | null | undefined
  /** Requests a minute; so many may come at once. */
  rpm_limit?: number | null | undefined
  /** Tokens a minute, read and written; so many may be used at once. */
  tpm_limit?: number | null | undefined
  /** Requests at a time. */
  concurrency_limit?: number | null | undefined
  /** For requests that name none: ISO 3166 alpha-2, or EU for any of its members. */
  jurisdiction?: string | null | undefined
}

/** What `POST /api/v1/auth/api-keys` answers. */
export interface ApiKeyWithSecret extends ApiKey {
  /** Shown this once. */
  key: string
}

/** What `POST /api/v1/auth/api-keys/{id}/rotate` takes. */
export interface KeyRotation {
  /** How long the replaced key goes on to work. 0: it ends at once. */
  overlap_seconds?: number | undefined
}

/** What `DELETE /api/v1/auth/api-keys/{id}` answers. */
export interface RevokedApiKey extends ApiKey {
  deleted: boolean
}

/** What `GET /api/v1/auth/me` answers. */
export interface Me {
  object: 'me'
  account: string
  key: ApiKey
}

/** What `GET /api/v1/credits` answers. */
export interface Credits {
  object: 'credits'
  account: string
  /** What this key could spend if nothing were set aside. */
  current_credits: number
  /** Set aside for what is at work. */
  reserved_credits: number
  available_credits: number
}

/** What `POST /api/v1/credits/grants` takes. */
export interface CreditGrant {
  /** Made on first use. */
  account: string
  /** Micro-credits. */
  amount: number
  /** What is not spent by then is gone; what expires first is spent first. */
  expires_at?: string | null | undefined
}

/** What `POST /api/v1/credits/grants` answers. */
export interface CreditTransaction {
  /** Numbered in its account. */
  id: string
  object: 'credit_transaction'
  account: string
  type: 'grant' | 'charge' | 'expiry'
  /** Micro-credits that came, or went where it is below 0. */
  amount: number
  /** What was there then. */
  balance: number
  created_at: string
  expires_at: string | null
  job_id: string | null
  request_id: string | null
  key_id: string | null
  model: string | null
  /** The entry of this peer's log that says the same. */
  entry_cid: string | null
  /** Both sides: together they are 0. */
  postings: {
    account: string
    amount: number
  }[]
}

/** What `GET /api/v1/credits/audit` answers. */
export interface CreditAudit {
  object: 'credits.audit'
  ok: boolean
  /** Of all balances: 0. */
  sum: number
  accounts: number
  entries: number
  charges: {
    /** Found in this peer's log, with the same amount. */
    matched: number
    /** Whose entry is not in the log any more. */
    without_entry: number
    /** Entries of the log that nobody was charged for: 0. */
    missing: number
  }
  balances: {
    wallets: number
    issued: number
    earned: number
    owed: number
    expired: number
    borne: number
  }
  problems: string[]
}

/** In what `GET /api/v1/credits/owed` answers. */
export interface PeerBalance {
  /** Its peer id. */
  id: string
  object: 'peer_balance'
  /** Micro-credits for all its work for this peer so far. */
  owed_to_peer: number
  /** For this peer's work for it, by this peer's count. */
  owed_by_peer: number
  /** Of that, what it said it got. */
  acknowledged_by_peer: number
}

/** What `GET /v1/usage` answers. */
export interface UsageReport {
  object: 'usage'
  account: string
  start_date: string
  end_date: string
  total_requests: number
  failed_requests: number
  total_tokens: number
  total_input_tokens: number
  total_cached_tokens: number
  total_output_tokens: number
  total_cost: number
  by_model: {
    model: string
    /** Those that failed are among them. */
    requests: number
    failed_requests: number
    tokens: number
    input_tokens: number
    /** Of the input: taken from a cache. */
    cached_tokens: number
    output_tokens: number
    /** Micro-credits. */
    cost: number
  }[]
  by_day: {
    date: string
    /** Those that failed are among them. */
    requests: number
    failed_requests: number
    tokens: number
    input_tokens: number
    /** Of the input: taken from a cache. */
    cached_tokens: number
    output_tokens: number
    /** Micro-credits. */
    cost: number
  }[]
  by_key: {
    key_id: string
    /** Those that failed are among them. */
    requests: number
    failed_requests: number
    tokens: number
    input_tokens: number
    /** Of the input: taken from a cache. */
    cached_tokens: number
    output_tokens: number
    /** Micro-credits. */
    cost: number
  }[]
  request_id: string
}
