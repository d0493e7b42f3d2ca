import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chatRequest } from '../../src/api/openai/chat-schema.ts'
import { describeApi } from '../../src/api/openapi.ts'
import { startTestApi, type TestApi } from './openai-server.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})

afterAll(() => api.stop())

interface Media {
  schema: object
}
interface Operation {
  operationId: string
  summary?: string
  security?: object[]
  parameters?: { name: string; in: string; required: boolean; schema: object }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}
interface Document {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}

const fetched = async () => {
  const response = await fetch(`${api.origin}/api/v1/openapi.json`)
  expect(response.headers.get('content-type')).toContain('application/json')
  return (await response.json()) as Document
}

const operations = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )

describe('openapi.json', () => {
  it('needs no key and lists the routes, each under one path', async () => {
    const document = await fetched()
    expect(document.openapi).toBe('3.1.0')
    expect(document.info).toMatchObject({ title: 'pinaivu-peer', version: '0.0.0' })
    expect(operations(document).map(({ path, method }) => `${method} ${path}`)).toEqual([
      'post /v1/chat/completions',
      'post /v1/completions',
      'post /v1/embeddings',
      'get /v1/models',
      'get /v1/models/{path}',
      'get /api/v1/openapi.json',
    ])
  })

  it('describes every operation completely', async () => {
    const document = await fetched()
    const all = operations(document)
    expect(new Set(all.map(({ operation }) => operation.operationId)).size).toBe(all.length)
    for (const { path, operation } of all) {
      expect(operation.summary).toMatch(/^[A-Z]/)
      expect(operation.responses.default?.content).toHaveProperty('application/json')
      expect(
        Object.values(operation.responses).every(({ description }) => description !== ''),
      ).toBe(true)
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const declared = (operation.parameters ?? []).filter((each) => each.in === 'path')
      expect(declared.map(({ name }) => name)).toEqual(inPath)
    }
  })

  it('holds schemas that are valid JSON Schema, and the ones that check', async () => {
    const document = await fetched()
    const ajv = new Ajv2020({ strict: false })
    ajv.addSchema(document, 'document')
    const contents = operations(document).flatMap(({ operation }) => [
      operation.requestBody?.content ?? {},
      ...Object.values(operation.responses).map(({ content = {} }) => content),
    ])
    const schemas = contents.flatMap((content) => Object.values(content)).map((m) => m.schema)
    expect(schemas.length).toBeGreaterThan(10)
    for (const schema of schemas) {
      const { $ref } = schema as { $ref?: string }
      const compiled = $ref === undefined ? ajv.compile(schema) : ajv.getSchema(`document${$ref}`)
      expect(compiled).toBeTypeOf('function')
    }
    const chat = document.paths['/v1/chat/completions']?.post
    expect(chat?.requestBody?.content['application/json']?.schema).toEqual(
      JSON.parse(JSON.stringify(chatRequest)),
    )
    expect(Object.keys(chat?.responses['200']?.content ?? {})).toEqual([
      'application/json',
      'text/event-stream',
    ])
  })

  it('accepts what the endpoints answer', async () => {
    const document = await fetched()
    const answer = await api.post('/v1/completions', {
      model: 'test-chat',
      prompt: 'a',
      logprobs: 1,
    })
    const operation = document.paths['/v1/completions']?.post
    const schema = operation?.responses['200']?.content?.['application/json']?.schema ?? {}
    expect(new Ajv2020({ strict: false }).validate(schema, await answer.json())).toBe(true)
  })

  it('says of each route who may call it', async () => {
    const document = await fetched()
    expect(document.paths['/v1/models']?.get).toMatchObject({ 'x-scope': 'models:read' })
    expect(document.paths['/api/v1/openapi.json']?.get).toMatchObject({ security: [] })
  })

  it('writes down parameters of the path and the query', () => {
    const document = describeApi(
      [
        {
          method: 'GET',
          url: '/api/v1/things/:id',
          access: 'key',
          idempotent: 'work',
          schema: {
            querystring: {
              required: ['limit'],
              properties: { limit: { type: 'integer' }, after: { type: 'string' } },
            },
            params: { properties: { id: { type: 'string', maxLength: 9 } } },
          },
        },
        {
          method: 'GET',
          url: '/*',
          access: 'public',
          idempotent: undefined,
          schema: { hide: true },
        },
      ],
      { version: '1.0.0' },
    ) as Document
    expect(Object.keys(document.paths)).toEqual(['/api/v1/things/{id}'])
    expect(document.paths['/api/v1/things/{id}']?.get).toMatchObject({
      parameters: [
        { name: 'id', in: 'path', required: true, schema: { type: 'string', maxLength: 9 } },
        { name: 'limit', in: 'query', required: true, schema: { type: 'integer' } },
        { name: 'after', in: 'query', required: false, schema: { type: 'string' } },
        { name: 'Idempotency-Key', in: 'header', required: false },
      ],
      responses: {
        default: { content: { 'application/json': { schema: expect.any(Object) } } },
      },
    })
  })
})
