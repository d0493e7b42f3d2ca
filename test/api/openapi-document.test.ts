import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopes } from '../../src/accounts/principal.ts'
import type { RouteEntry } from '../../src/api/route.ts'
import { openApiShape } from './openapi-shape.ts'
import {
  documentOf,
  type OpenApiDocument,
  type Operation,
  operationsOf,
  startWholePeer,
  type WholePeer,
} from './whole-peer.ts'

// `openapi.json` of a whole peer.

let peer: WholePeer
let routes: readonly RouteEntry[]
let document: OpenApiDocument
let operations: Operation[]

beforeAll(async () => {
  let app: FastifyInstance | undefined
  const onApp = (message: unknown) => {
    app = (message as { fastify: FastifyInstance }).fastify
  }
  subscribe('fastify.initialization', onApp)
  peer = await startWholePeer()
  unsubscribe('fastify.initialization', onApp)
  routes = app?.routeEntries ?? []
  document = await documentOf(peer)
  operations = operationsOf(document)
})

afterAll(() => peer.stop())

const pages = [
  ...['/', '/style.css', '/app.js', '/favicon.svg', '/ghost', '/modules/{path}'],
  ...['/reference', '/reference.js', '/reference-schema.js'],
]

const nameOf = ({ method, url }: RouteEntry) =>
  `${method} ${url.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}')}`

/** All that is below a value, and where. */
function* walk(value: unknown, path = '#'): Generator<[path: string, value: object]> {
  if (typeof value !== 'object' || value === null) return
  yield [path, value]
  for (const [key, part] of Object.entries(value)) yield* walk(part, `${path}/${key}`)
}

describe('openapi.json of a whole peer', () => {
  it('is OpenAPI 3.1, and all that it refers to is there', () => {
    const ajv = new Ajv2020({ strict: false })
    const isValid = ajv.validate(openApiShape, document)
    expect([isValid, ajv.errors?.slice(0, 5)]).toEqual([true, undefined])
    const places = new Map(walk(document))
    for (const [path, { $ref }] of places as Map<string, { $ref?: string }>) {
      if ($ref !== undefined) expect([path, places.has($ref)]).toEqual([path, true])
    }
  })

  it('holds JSON Schemas whose examples are valid', () => {
    const ajv = new Ajv2020({ strict: false, formats: { 'date-time': true } })
    const schemas = [...walk(document)].filter(([path]) => /\/schema$/.test(path))
    expect(schemas.length).toBeGreaterThan(100)
    for (const [path, schema] of schemas) {
      if ('$ref' in schema) continue
      expect([path, ajv.validateSchema(schema), ajv.errors]).toEqual([path, true, null])
    }
    for (const [path, value] of walk(document)) {
      const { examples = [], ...schema } = value as { examples?: unknown[] }
      if (!Array.isArray(examples)) continue
      for (const each of examples) expect([path, ajv.validate(schema, each)]).toEqual([path, true])
    }
  })

  it('has every route of the server, and no others', () => {
    const shown = routes.filter(({ schema }) => schema.hide !== true).map(nameOf)
    const told = operations.map(({ method, path }) => `${method} ${path}`)
    expect(told.sort()).toEqual(shown.toSorted())
    expect(shown.length).toBeGreaterThan(40)
    const hidden = routes.filter(({ schema }) => schema.hide === true).map(nameOf)
    const aliases = shown.flatMap((name) => (/ \/v1\//.test(name) ? [name.replace('/v1', '')] : []))
    const others = [...pages.map((path) => `GET ${path}`), 'POST /api/v1/backup']
    expect(hidden.sort()).toEqual([...aliases, ...others].sort())
  })

  it('names each operation once, and its group', () => {
    const ids = operations.map(({ operationId }) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    const used = new Set(operations.flatMap(({ tags = [] }) => tags))
    expect([...used].sort()).toEqual(document.tags.map(({ name }) => name).sort())
  })

  it('says who may call, what is in the path, and what a key adds', () => {
    for (const { path, parameters = [], responses, security, ...operation } of operations) {
      const scope = operation['x-scope']
      const need = scope === undefined ? [] : [scope]
      expect([path, scope === undefined || scopes.some((each) => each === scope)]).toEqual([
        path,
        true,
      ])
      if (security?.length !== 0) expect(security).toEqual([{ bearer: need }, { header: need }])
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const declared = parameters.filter((each) => each.in === 'path')
      expect(declared.map(({ name }) => name)).toEqual(inPath)
      for (const each of declared)
        expect(each).toMatchObject({ description: expect.stringMatching(/./), required: true })
      const statuses = ['401', '429'].filter((status) => status in responses)
      expect([path, statuses]).toEqual([path, security?.length === 0 ? [] : ['401', '429']])
      const good = Object.keys(responses).filter((status) => status.startsWith('2'))
      expect([path, good.length]).toEqual([path, 1])
    }
  })
})
