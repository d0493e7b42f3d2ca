import { type ErrorStatus, errorStatus } from './error-status.ts'
import { rateLimitHeaderNames } from './rate-limits.ts'
import type { RouteEntry } from './route.ts'
import { nullable, object, string } from './schema.ts'

const openAiError = object({
  error: object({
    message: string({ description: 'Says what to do.' }),
    type: string(),
    param: nullable(string({ description: 'The field that is at fault.' })),
    code: nullable(string()),
  }),
  request_id: string(),
})

const productError = object({
  error: object({
    code: string(),
    message: string({ description: 'Says what to do.' }),
    requestId: string(),
  }),
})

const meanings: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong; the message names it',
  401: 'No key, or one that does not work',
  402: 'Too few credits; nothing was done',
  403: 'Not with this key, from this page or by this name',
  404: 'There is no such thing, or it is not of this account',
  405: 'Not with this method',
  408: 'The request did not come in time',
  409: 'At odds with what is there',
  410: 'No longer there',
  413: 'The body is too large',
  415: 'The body is of another type than this endpoint takes',
  416: 'The file has no such part',
  422: 'The body is not JSON',
  429: 'Too much for the limits of this key',
  431: 'The headers are too large',
  500: 'The work failed',
  503: 'Not at the moment',
  504: 'The work took too long',
  507: 'There is no room to keep it',
}

/** What can go wrong at every route of a kind; each names in its `errors` what else can at it. */
const atAll = ['host_not_allowed', 'origin_not_allowed']
const withKey = ['api_key_missing', 'invalid_api_key', 'api_key_revoked', 'api_key_expired']
const withFields = ['invalid_value', 'unknown_parameter', 'missing_required_parameter']
/** Whatever is sent to them is read, asked for or not. */
const notGet = ['invalid_request', 'request_too_large', 'unsupported_media_type']
const onceOnly = [
  ...['invalid_idempotency_key', 'idempotency_conflict', 'idempotency_in_progress'],
  ...['idempotency_interrupted', 'idempotency_answer_not_kept'],
]
const atWork = [
  ...['unsupported_parameter', 'unsupported_value', 'context_length_exceeded'],
  ...['model_not_supported', 'invalid_jurisdiction', 'insufficient_credits', 'model_not_found'],
  ...['rate_limit_too_low', 'engine_failed', 'model_failed', 'overloaded', 'no_nodes_available'],
  ...['no_nodes_in_jurisdiction', 'first_byte_timeout', 'deadline_exceeded'],
]

function codesOf({ method, access, idempotent, schema }: RouteEntry): readonly string[] {
  const { body, form, querystring, errors = [] } = schema
  const isScoped = access !== 'public' && access !== 'key'
  return [
    ...atAll,
    ...(access === 'public' ? [] : [...withKey, 'rate_limit_exceeded']),
    ...(isScoped ? ['insufficient_scope'] : []),
    ...(body || form || querystring ? withFields : []),
    ...(body ? ['invalid_type'] : []),
    ...(method === 'GET' ? [] : notGet),
    ...(method === 'GET' || form ? [] : ['invalid_json']),
    ...(idempotent === undefined ? [] : onceOnly),
    ...(idempotent === 'work' ? atWork : []),
    ...errors,
  ]
}

/** The refusals of one route, by status. */
export function errorResponses(entry: RouteEntry): Record<string, object> {
  const byStatus: Record<string, Set<string>> = {}
  for (const code of codesOf(entry)) {
    const row = errorStatus[code]
    if (row === undefined) throw new Error(`${entry.url}: no status is known for ${code}`)
    const codes = byStatus[row.status] ?? new Set()
    byStatus[row.status] = codes.add(codeAt(entry.url, code, row))
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes]) => {
      const named = [...codes].map((code) => `\`${code}\``).join(', ')
      const description = `${meanings[Number(status)]}: ${named}.`
      return [status, { $ref: `#/components/responses/${nameAt(entry.url)}${status}`, description }]
    }),
  )
}

/** Whatever was not thought of above. */
export const anyError = (url: string): object => ({
  description: 'What went wrong, and what to do.',
  content: contentAt(nameAt(url)),
})

const isProduct = (url: string): boolean => url.startsWith('/api/v1/')

const nameAt = (url: string) => (isProduct(url) ? 'ProductError' : 'OpenAiError')

const codeAt = (url: string, code: string, { productCode, openAiCode }: ErrorStatus): string =>
  (isProduct(url) ? productCode : openAiCode) ?? code

const contentAt = (name: string) => ({
  'application/json': { schema: { $ref: `#/components/schemas/${name}` } },
})

export const errorSchemas = { OpenAiError: openAiError, ProductError: productError }

/** What `errorResponses` refers to. */
export function errorComponents(): Record<string, object> {
  const rows = Object.values(errorStatus)
  const statuses = [...new Set(rows.map(({ status }) => status))].filter((each) => meanings[each])
  return Object.fromEntries(
    Object.keys(errorSchemas).flatMap((name) =>
      statuses.map((status) => {
        const waits = rows.some((row) => row.status === status && row.retryAfterMs !== undefined)
        const headers = [
          ...['x-request-id', 'x-should-retry'],
          ...(waits ? ['retry-after'] : []),
          ...(status === 429 ? rateLimitHeaderNames : []),
        ]
        const response = { description: `${meanings[status]}.`, headers: headerRefs(headers) }
        return [`${name}${status}`, { ...response, content: contentAt(name) }]
      }),
    ),
  )
}

export const headerRefs = (names: readonly string[]): Record<string, object> =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
