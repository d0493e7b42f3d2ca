/** What a code means over HTTP. The one table: a code that is missing here is answered as a 500. */
export interface ErrorStatus {
  status: number
  /** OpenAI's word for the kind of failure. */
  type: ErrorType
  /** The code on `/v1` and `/v8`, where OpenAI's clients know another one than ours. */
  openAiCode?: string
  /** The code on `/api/v1`, likewise. */
  productCode?: string
  /** OpenAI's clients retry 408, 409, 429 and every 5xx twice, unless they are told. */
  retry?: boolean
  /** How long a client should wait before it tries again, when the error itself does not know. */
  retryAfterMs?: number
}

export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'insufficient_quota'
  | 'server_error'

const invalid: ErrorStatus = { status: 400, type: 'invalid_request_error' }
const badKey: ErrorStatus = {
  status: 401,
  type: 'authentication_error',
  openAiCode: 'invalid_api_key',
}
const forbidden: ErrorStatus = { status: 403, type: 'permission_error' }
const notFound: ErrorStatus = { status: 404, type: 'not_found_error' }
const conflict: ErrorStatus = { status: 409, type: 'invalid_request_error', retry: false }
const unavailable: ErrorStatus = {
  status: 503,
  type: 'server_error',
  retry: true,
  retryAfterMs: 1000,
}

const nobody: ErrorStatus = { ...unavailable, retryAfterMs: 5000 }

export const errorStatus: Readonly<Record<string, ErrorStatus>> = {
  invalid_request: invalid,
  invalid_url: invalid,
  invalid_value: invalid,
  invalid_type: invalid,
  missing_required_parameter: invalid,
  unknown_parameter: invalid,
  unsupported_parameter: invalid,
  unsupported_value: invalid,
  context_length_exceeded: invalid,
  model_not_supported: { ...invalid, productCode: 'chat_model_not_supported' },
  unsupported_model_operation: invalid,
  invalid_jurisdiction: invalid,
  invalid_scope: invalid,
  invalid_cid: invalid,
  webhook_url_rejected: invalid,
  invalid_idempotency_key: invalid,
  unsupported_file: invalid,
  chat_attachment_not_supported: invalid,

  api_key_missing: badKey,
  api_key_revoked: badKey,
  api_key_expired: badKey,
  invalid_api_key: { ...badKey, productCode: 'api_key_invalid' },

  insufficient_credits: { status: 402, type: 'insufficient_quota', retry: false },

  insufficient_scope: { ...forbidden, productCode: 'api_scope_denied' },
  origin_not_allowed: forbidden,
  host_not_allowed: forbidden,
  link_invalid: forbidden,
  link_expired: forbidden,

  not_found: notFound,
  unknown_url: { status: 404, type: 'invalid_request_error', productCode: 'not_found' },
  key_not_found: notFound,
  file_not_found: { ...notFound, productCode: 'not_found' },
  chat_session_not_found: { ...notFound, productCode: 'not_found' },
  receipt_not_found: notFound,
  webhook_not_found: { ...notFound, productCode: 'not_found' },
  log_not_found: notFound,
  log_pruned: { status: 410, type: 'not_found_error' },
  model_not_found: { status: 404, type: 'invalid_request_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },

  reader_too_slow: { status: 408, type: 'invalid_request_error', retry: false },
  request_timeout: { status: 408, type: 'invalid_request_error', retry: true },
  idempotency_conflict: conflict,
  idempotency_in_progress: { ...conflict, retry: true, retryAfterMs: 1000 },
  idempotency_interrupted: conflict,
  idempotency_answer_not_kept: conflict,
  chat_session_conflict: conflict,
  chat_session_busy: { ...conflict, retry: true, retryAfterMs: 1000 },
  owner_key_needed: conflict,
  key_not_usable: conflict,
  // Of logs that somebody signed twice, or that do not join what is here.
  equivocation: conflict,
  author_barred: conflict,
  log_forked: conflict,
  log_gap: conflict,
  own_log: conflict,
  too_many_keys: conflict,
  too_many_webhooks: conflict,
  too_many_credits: conflict,
  file_quota_exceeded: conflict,
  chat_quota_exceeded: conflict,
  request_too_large: { status: 413, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  range_not_satisfiable: { status: 416, type: 'invalid_request_error' },
  invalid_json: { status: 422, type: 'invalid_request_error' },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    productCode: 'rate_limited',
    retry: true,
    retryAfterMs: 1000,
  },
  /** No waiting makes room for it. */
  rate_limit_too_low: {
    status: 429,
    type: 'rate_limit_error',
    openAiCode: 'rate_limit_exceeded',
    productCode: 'rate_limited',
    retry: false,
    retryAfterMs: 60_000,
  },
  headers_too_large: { status: 431, type: 'invalid_request_error' },
  /** Only logged and counted: nobody is there to read it. */
  client_closed: { status: 499, type: 'invalid_request_error' },

  internal_error: { status: 500, type: 'server_error', retry: false },
  engine_failed: { status: 500, type: 'server_error', retry: true },
  model_failed: { status: 503, type: 'server_error', retry: false },
  overloaded: unavailable,
  storage_failed: { status: 503, type: 'server_error', retry: false },
  storage_closed: unavailable,
  shutting_down: unavailable,
  storage_full: { status: 507, type: 'server_error', retry: false },
  log_full: { status: 507, type: 'server_error', retry: false },
  no_nodes_available: nobody,
  no_nodes_in_jurisdiction: nobody,
  provider_failed: { ...nobody, openAiCode: 'no_nodes_available' },
  first_byte_timeout: { status: 504, type: 'server_error', retry: true },
  deadline_exceeded: { status: 504, type: 'server_error', retry: true },
}
