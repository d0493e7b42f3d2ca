import type { RouteEntry, RouteModule } from './route.ts'
import { nullable, object, type Schema, string } from './schema.ts'

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
        schema: { summary: 'This description of the HTTP surface', tags: ['Service'] },
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

const openAiErrorSchema = object({
  error: object({
    message: string({ description: 'Says what to do.' }),
    type: string(),
    param: nullable(string()),
    code: nullable(string()),
  }),
  request_id: string(),
})

const productErrorSchema = object({
  error: object({ code: string(), message: string(), requestId: string() }),
})

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
      description: 'A peer-to-peer inference node with an OpenAI-compatible endpoint.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This peer' }],
    security: [{ bearer: [] }, { header: [] }],
    paths,
    components: {
      schemas: { OpenAiError: openAiErrorSchema, ProductError: productErrorSchema },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        header: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  }
}

/** `/v1/models/:id` → `/v1/models/{id}`; a wildcard goes by the name `path`. */
function toTemplate(url: string): string {
  return url.replace(/:([^/]+)/g, '{$1}').replace(/\*$/, '{path}')
}

function describeOperation(entry: RouteEntry, path: string): object {
  const { method, url, access, schema } = entry
  const product = url.startsWith('/api/v1/')
  const errors = `#/components/schemas/${product ? 'ProductError' : 'OpenAiError'}`
  const needsKey = access !== 'public'
  const parameters = [...pathParameters(entry, path), ...queryParameters(schema.querystring)]
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^a-zA-Z0-9]+/g, '_')}`.replace(/_$/, ''),
    ...(schema.summary === undefined ? {} : { summary: schema.summary }),
    ...(schema.description === undefined ? {} : { description: schema.description }),
    ...(schema.tags === undefined ? {} : { tags: schema.tags }),
    ...(needsKey ? {} : { security: [] }),
    ...(needsKey && access !== 'key' ? { 'x-scope': access } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(schema.body === undefined
      ? {}
      : { requestBody: { required: true, content: json(schema.body) } }),
    responses: {
      ...describeResponses(schema.response),
      default: { description: 'What went wrong, and what to do.', content: json({ $ref: errors }) },
    },
  }
}

const json = (schema: unknown) => ({ 'application/json': { schema } })

/** Routes give a schema for each status, or where there are several forms of it, its `content`. */
function describeResponses(response: unknown): Record<string, object> {
  if (!isRecord(response)) return { 200: { description: 'Done.' } }
  return Object.fromEntries(
    Object.entries(response).map(([status, schema]) => [
      status,
      isRecord(schema) && 'content' in schema
        ? schema
        : { description: 'Done.', content: json(schema) },
    ]),
  )
}

function pathParameters({ schema }: RouteEntry, path: string): object[] {
  const known = schema.params?.properties ?? {}
  return [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: known[name] ?? { type: 'string' },
  }))
}

function queryParameters({ properties = {}, required = [] }: Schema = {}): object[] {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
