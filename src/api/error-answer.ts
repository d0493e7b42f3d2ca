import { BusyError, LimitError, PeerError } from '../base/errors.ts'
import type { Route } from '../wire/chunk.ts'
import { type ErrorStatus, errorStatus } from './error-status.ts'
import { routeHeaders } from './work-headers.ts'

/** Python's OpenAI client gives up retrying altogether when it is told to wait for minutes. */
const RETRY_AFTER_MS_MAX = 60_000

const internal = errorStatus.internal_error as ErrorStatus

/** What a client is told of a failure, before it is written down for one surface. */
export interface ErrorAnswer {
  status: number
  /** Our own code; each surface may have another word for it. */
  code: string
  message: string
  param: string | null
  row: ErrorStatus
  /** False when the fault is ours, and the log has to say what it was. */
  expected: boolean
  retryAfterMs: number | undefined
  /** Who was asked in vain. */
  route: Route | undefined
}

/** An error that came after peers were asked. */
interface Routable {
  route?: Route
}

/** Fastify's own complaints, in our words. */
const frameworkErrors: Readonly<Record<string, [code: string, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['request_too_large', 'The request body is too large.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'Send the body with `Content-Type: application/json`.',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'invalid_request',
    'The body is not as long as its Content-Length says.',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_json', 'The body is empty; send a JSON object.'],
  FST_ERR_CTP_INVALID_JSON_BODY: [
    'invalid_json',
    'The body is not valid JSON, or has a member that is called __proto__ or constructor.',
  ],
  FST_ERR_BAD_URL: ['invalid_url', 'The URL is not correctly percent-encoded.'],
  FST_ERR_MAX_PARAM_LENGTH: ['invalid_url', 'A part of the URL is too long.'],
}

export function answerTo(error: unknown): ErrorAnswer {
  if (error instanceof PeerError) {
    const row = statusOf(error.code)
    if (row !== undefined && row !== internal) {
      const knowsWhen = error instanceof BusyError || error instanceof LimitError
      return answer(error.code, error.message, row, {
        param: error.param ?? null,
        retryAfterMs: knowsWhen ? error.retryAfterMs : row.retryAfterMs,
        route: (error as Routable).route,
      })
    }
  }
  const framework = frameworkErrors[(error as { code?: unknown } | null)?.code as string]
  const row = framework && statusOf(framework[0])
  if (framework !== undefined && row !== undefined) return answer(framework[0], framework[1], row)
  // The message of an unforeseen error may hold paths or other people's data: it goes into the log.
  return {
    ...answer('internal_error', 'The server failed on this request; its log says why.', internal),
    expected: false,
  }
}

/** A code may be any text, that of a property of every object too. */
function statusOf(code: string): ErrorStatus | undefined {
  return Object.hasOwn(errorStatus, code) ? errorStatus[code] : undefined
}

function answer(
  code: string,
  message: string,
  row: ErrorStatus,
  more: {
    param?: string | null
    retryAfterMs?: number | undefined
    route?: Route | undefined
  } = {},
): ErrorAnswer {
  const retryAfterMs = 'retryAfterMs' in more ? more.retryAfterMs : row.retryAfterMs
  return {
    status: row.status,
    code,
    message,
    param: more.param ?? null,
    row,
    expected: true,
    retryAfterMs,
    route: more.route,
  }
}

/** OpenAI's shape, for `/v1`, `/v8` and everything beside them; also the last event of a stream. */
export function openAiError(error: ErrorAnswer, requestId: string): OpenAiErrorBody {
  const { message, param, row } = error
  const code = row.openAiCode ?? error.code
  return { error: { message, type: row.type, param, code }, request_id: requestId }
}

export interface OpenAiErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null }
  request_id: string
}

/** The shape of `/api/v1`. */
export function productError(error: ErrorAnswer, requestId: string): ProductErrorBody {
  const code = error.row.productCode ?? error.code
  return { error: { code, message: error.message, requestId } }
}

export interface ProductErrorBody {
  error: { code: string; message: string; requestId: string }
}

export function errorBody(url: string, error: ErrorAnswer, requestId: string) {
  return url.startsWith('/api/v1/') ? productError(error, requestId) : openAiError(error, requestId)
}

/** `x-should-retry` and, where waiting helps, for how long; and who was asked in vain. */
export function errorHeaders({ row, retryAfterMs, route }: ErrorAnswer): Record<string, string> {
  const headers: Record<string, string> = {
    'x-should-retry': String(row.retry ?? false),
    ...routeHeaders(route),
  }
  if (retryAfterMs !== undefined) {
    const ms = Math.min(Math.max(Math.ceil(retryAfterMs), 1), RETRY_AFTER_MS_MAX)
    headers['retry-after'] = String(Math.ceil(ms / 1000))
    headers['retry-after-ms'] = String(ms)
  }
  return headers
}
