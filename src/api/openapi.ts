import {
  anyError,
  errorComponents,
  errorResponses,
  errorSchemas,
  headerRefs,
} from './openapi-errors.ts'
import { rateLimitHeaderNames } from './rate-limits.ts'
import type { Access, RouteEntry, RouteModule, RouteSchema } from './route.ts'
import { anything, type Schema } from './schema.ts'
import { workHeaderNames } from './work-headers.ts'

export interface DocumentInfo {
  /** Of this program. */
  version: string
}

/** `GET /api/v1/openapi.json`, written from the schemas that check the requests. */
export function openApiRoutes(info: DocumentInfo): RouteModule {
  return (app) => {
    let document: string | undefined
    app.get(
      '/api/v1/openapi.json',
      {
        schema: {
          summary: 'This description of the HTTP surface',
          description:
            'OpenAPI 3.1, written from the schemas that check requests. Read it at `/reference`.',
          tags: ['Service'],
          response: { 200: anything() },
        },
        config: { access: 'public' },
      },
      (_request, reply) => {
        // Every route is registered before the server listens.
        document ??= JSON.stringify(describeApi(app.routeEntries, info))
        return reply.type('application/json; charset=utf-8').serializer(String).send(document)
      },
    )
  }
}

const tags = [
  ['OpenAI', "What OpenAI's clients call. Any of them works with the base URL `/v1`."],
  ['Chat', 'Conversations that this peer keeps, one message at a time.'],
  ['Models', 'What can be asked, and what it costs.'],
  ['Files', 'Pictures, sound and films of an account.'],
  ['Keys', 'Who may call, and how much.'],
  ['Credits', 'What an account has, where it came from and where it went.'],
  ['Webhooks', 'Events of an account, told to a server of yours.'],
  ['Receipts', 'What peers signed of their work, for everybody to check.'],
  ['Network', 'The peers that this one knows.'],
  ['Service', 'This peer itself.'],
].map(([name, description]) => ({ name, description }))

const about = `A peer-to-peer inference node with an OpenAI-compatible endpoint.

Send a key as \`Authorization: Bearer …\` or \`X-API-Key: …\`; what is public needs none. Every answer has an \`x-request-id\`. A refusal says in \`x-should-retry\` whether the same request can do better later, and in \`retry-after\` when. What makes or charges something takes an \`Idempotency-Key\`, and can then be sent twice.`

/** The whole surface as an OpenAPI 3.1 document. */
export function describeApi(entries: readonly RouteEntry[], { version }: DocumentInfo): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const entry of entries) {
    if (entry.schema.hide === true) continue
    const path = toTemplate(entry.url)
    const operations = paths[path] ?? {}
    operations[entry.method.toLowerCase()] = describeOperation(entry, path)
    paths[path] = operations
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'pinaivu-peer',
      version,
      description: about,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This peer' }],
    security: securityOf('key'),
    tags,
    paths,
    components: {
      schemas: errorSchemas,
      responses: errorComponents(),
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, description]) => [
          name,
          { description, schema: { type: 'string' } },
        ]),
      ),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A key: `sk-pnv-…`.' },
        header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same.' },
      },
    },
  }
}

/** `/v1/models/:id` → `/v1/models/{id}`; a wildcard goes by the name `path`. */
function toTemplate(url: string): string {
  return url.replace(/:([^/]+)/g, '{$1}').replace(/\*$/, '{path}')
}

function describeOperation(entry: RouteEntry, path: string): object {
  const { method, url, access, idempotent, schema } = entry
  const parameters = [
    ...pathParameters(entry, path),
    ...queryParameters(schema.querystring),
    ...(idempotent === undefined ? [] : [idempotencyKey]),
  ]
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^a-zA-Z0-9]+/g, '_')}`.replace(/_$/, ''),
    ...(schema.summary === undefined ? {} : { summary: schema.summary }),
    ...(schema.description === undefined ? {} : { description: schema.description }),
    ...(schema.tags === undefined ? {} : { tags: schema.tags }),
    security: securityOf(access),
    ...(isScope(access) ? { 'x-scope': access } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...requestBody(schema),
    responses: {
      ...describeResponses(entry),
      ...errorResponses(entry),
      default: anyError(url),
    },
    ...(schema.sdk === undefined ? {} : { 'x-codeSamples': [sampleOf(schema.sdk)] }),
  }
}

const isScope = (access: Access): boolean => access !== 'public' && access !== 'key'

/** Nothing for what is public; else the key, which may come in one of two headers. */
function securityOf(access: Access): object[] {
  if (access === 'public') return []
  const scopes = isScope(access) ? [access] : []
  return [{ bearer: scopes }, { header: scopes }]
}

const sampleOf = (source: string) => ({ lang: 'JavaScript', label: 'openai', source })

const ownWorkHeaders = workHeaderNames.filter((name) => name.startsWith('X-Pinaivu-'))

/** What answers say beside their bodies. */
const headers: Readonly<Record<string, string>> = {
  'x-request-id': 'The id of this request: `req_…`.',
  'x-should-retry': 'Whether the same request can do better later: `true` or `false`.',
  'retry-after': 'Seconds until then, 60 at most; in `retry-after-ms` as milliseconds.',
  'Idempotency-Replayed': '`true`: this is what was answered the first time.',
  ...Object.fromEntries(
    rateLimitHeaderNames.map((name) => [name, 'Of the limits of this key, where it has any.']),
  ),
  ...Object.fromEntries(
    ownWorkHeaders.map((name) => [name, 'Of the peer that did the work; under `X-Ryvion-` too.']),
  ),
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A request that is sent again with the same key and body within 24 hours is not done again: it ' +
    'is told the same answer, with `Idempotency-Replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
}

const takesNull = ({ anyOf = [] }: Schema): boolean => anyOf.some(({ type }) => type === 'null')

function requestBody({ body, form }: RouteSchema): object {
  if (body === undefined && form === undefined) return {}
  const content = form === undefined ? json(body) : { 'multipart/form-data': { schema: form } }
  return { requestBody: { required: body === undefined || !takesNull(body), content } }
}

const json = (schema: unknown) => ({ 'application/json': { schema } })

const done: Readonly<Record<string, string>> = { 200: 'The answer.', 201: 'What was made.' }

/** Routes give a schema for each status, or where there are several forms of it, its `content`. */
function describeResponses({ access, idempotent, schema }: RouteEntry): Record<string, object> {
  const told = headerRefs([
    'x-request-id',
    ...(access === 'public' ? [] : rateLimitHeaderNames),
    ...(idempotent === undefined ? [] : ['Idempotency-Replayed']),
    ...(idempotent === 'work' ? ownWorkHeaders : []),
  ])
  const { response } = schema
  return Object.fromEntries(
    Object.entries(isRecord(response) ? response : { 200: { content: {} } }).map(
      ([status, form]) => [
        status,
        {
          description: done[status] ?? 'The same, where it is not well.',
          headers: told,
          ...(isRecord(form) && 'content' in form ? form : { content: json(form) }),
        },
      ],
    ),
  )
}

function pathParameters({ schema }: RouteEntry, path: string): object[] {
  const { '*': rest, ...known } = schema.params?.properties ?? {}
  return [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) =>
    parameter(name, 'path', (name === 'path' ? rest : known[name]) ?? { type: 'string' }, true),
  )
}

function queryParameters({ properties = {}, required = [] }: Schema = {}): object[] {
  return Object.entries(properties).map(([name, schema]) =>
    parameter(name, 'query', schema, required.includes(name)),
  )
}

function parameter(
  name: string,
  place: 'path' | 'query',
  { description, ...schema }: Schema,
  required: boolean,
): object {
  return { name, in: place, required, ...(description && { description }), schema }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
