import { request as httpRequest } from 'node:http'
import { expect } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { png } from '../accounts/files/media-files.ts'
import {
  documentOf,
  type Operation,
  operationsOf,
  startWholePeer,
  type WholePeer,
} from './whole-peer.ts'

// Every route of a whole peer, by its own description: who adds one says here what it takes.

export const chat = { model: 'test-chat', messages: [{ role: 'user', content: 'Hi' }] }
export const turn = { model: 'test-chat', message: 'Hi' }
const hook = { name: 'x', url: 'http://127.0.0.1:9/', event_types: ['chat.completed'] }

/** What each route that takes a body does something with, and what is another request there. */
export const bodies: Record<string, [body: object, other: object]> = {
  'POST /v1/chat/completions': [chat, { ...chat, seed: 1 }],
  'POST /v1/completions': [
    { model: 'test-chat', prompt: 'Hi' },
    { model: 'test-chat', prompt: 'Ho' },
  ],
  'POST /v1/embeddings': [
    { model: 'test-embed', input: 'Hi' },
    { model: 'test-embed', input: 'Ho' },
  ],
  'POST /api/v1/auth/api-keys': [{ name: 'a' }, { name: 'b' }],
  'POST /api/v1/auth/api-keys/{id}/rotate': [{ overlap_seconds: 1 }, {}],
  'POST /api/v1/credits/grants': [
    { account: 'a', amount: 1 },
    { account: 'a', amount: 2 },
  ],
  'POST /api/v1/chat/completions': [turn, { ...turn, message: 'Ho' }],
  'POST /api/v1/chat/completions/stream': [turn, { ...turn, message: 'Ho' }],
  'PATCH /api/v1/chat/sessions/{id}': [{ title: 'a' }, { title: 'b' }],
  'POST /api/v1/webhooks': [hook, { ...hook, name: 'other' }],
  'PATCH /api/v1/webhooks/{id}': [{ name: 'a' }, { name: 'b' }],
}

const BOUNDARY = 'xXbOuNdArYx'
/** What each route that takes a form does something with, likewise. */
export const forms: Record<string, [body: Buffer, other: Buffer]> = {
  'POST /api/v1/files': [imageForm(png(1, 1_000)), imageForm(png(2, 1_000))],
}
export const formType = `multipart/form-data; boundary=${BOUNDARY}`

function imageForm(picture: Uint8Array): Buffer {
  const field = (disposition: string) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n`
  return Buffer.concat([
    Buffer.from(`${field('name="kind"')}image\r\n${field('name="file"; filename="a.png"')}`),
    picture,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ])
}

interface Thing {
  /** Makes one with this key, and says its id. */
  make(key: string): Promise<string>
  /** Looks like the id of one. */
  never: string
}

export interface Asked {
  method: string
  path: string
  key?: string | undefined
  body?: string | Buffer
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  text: string
  headers: Record<string, string | string[] | undefined>
}

export const nameOf = ({ method, path }: Operation) => `${method} ${path}`

/** Without a client library: some of what is asked, none of them would send. */
function askAt(http: string, { method, path, key, body, headers = {} }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(new URL(path, http), {
      method,
      agent: false,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': `${body.length}` }),
        ...headers,
      },
    })
    sent.on('response', async (answer) => {
      let text = ''
      try {
        for await (const piece of answer.setEncoding('utf8')) text += piece
        resolve({ status: answer.statusCode ?? 0, text, headers: answer.headers })
      } catch (error) {
        reject(error)
      } finally {
        sent.destroy()
      }
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A store in memory that counts what is looked up. */
class CountingBackend extends MemoryBackend {
  reads = 0

  override get(key: Uint8Array) {
    this.reads++
    return super.get(key)
  }

  override getMany(keys: Uint8Array[]) {
    this.reads += keys.length
    return super.getMany(keys)
  }

  override range(range: Parameters<MemoryBackend['range']>[0]) {
    this.reads++
    return super.range(range)
  }
}

/** A peer whose models cost something, and what it says of itself. */
export async function startRouteStage() {
  const backend = new CountingBackend()
  const store = await openStoreOn(backend, { logger: silentLogger })
  const flags = { price: '1000/1000', 'allow-private-webhooks': true }
  const peer = await startWholePeer(flags, { store })
  return new RouteStage(peer, backend, operationsOf(await documentOf(peer)))
}

export class RouteStage {
  readonly #peer: WholePeer
  readonly #backend: CountingBackend
  readonly operations: readonly Operation[]
  /** Which refusals were met, by the name of the operation and the status. */
  readonly met = new Set<string>()
  /** By the path of what they name. */
  readonly things: Readonly<Record<string, Thing>> = {
    '/api/v1/auth/api-keys/{id}': this.#made('POST /api/v1/auth/api-keys', 'key'),
    '/api/v1/chat/sessions/{id}': this.#made('POST /api/v1/chat/completions', 'sess', 'session_id'),
    '/api/v1/files/{id}': this.#made('POST /api/v1/files', 'file'),
    '/api/v1/webhooks/{id}': this.#made('POST /api/v1/webhooks', 'whend'),
    '/v1/receipts/{id}': this.#made('POST /v1/chat/completions', 'req', 'request_id'),
  }

  constructor(peer: WholePeer, backend: CountingBackend, operations: Operation[]) {
    this.#peer = peer
    this.#backend = backend
    this.operations = operations
  }

  get engine() {
    return this.#peer.engine
  }

  get owner(): string {
    return this.#peer.apiKey
  }

  /** What was looked up in the store so far. */
  get reads(): number {
    return this.#backend.reads
  }

  stop(): Promise<void> {
    return this.#peer.stop()
  }

  ask(asked: Asked): Promise<Answer> {
    return askAt(this.#peer.http, asked)
  }

  /** Does what is expected to work. */
  async make(name: string, key: string, body: object = {}) {
    const [method = '', path = ''] = name.split(' ')
    const form = forms[name]?.[0]
    const sent = form ?? JSON.stringify(body)
    const headers = form === undefined ? {} : { 'content-type': formType }
    const { status, text } = await this.ask({ method, path, key, body: sent, headers })
    expect([status, text]).toEqual([expect.toSatisfy((each) => each < 300), text])
    return JSON.parse(text) as Record<string, string>
  }

  async newKey(more: object): Promise<string> {
    const body = { name: 'x', ...more }
    return (await this.make('POST /api/v1/auth/api-keys', this.owner, body)).key as string
  }

  /** Those that say that they may refuse with this. */
  refusingWith = (status: number): Operation[] =>
    this.operations.filter(({ responses }) => status in responses)

  withKey = () => this.operations.filter(({ security }) => security?.length !== 0)

  taking = (type: string) =>
    this.operations.filter(({ requestBody }) => requestBody?.content[type] !== undefined)

  thingOf = (path: string): Thing | undefined =>
    Object.entries(this.things).find(([own]) => path.startsWith(own))?.[1]

  /** A request that reaches the route, whether or not there is such a thing. */
  to(operation: Operation, id?: string): Asked {
    const { method, path } = operation
    const name = nameOf(operation)
    const form = forms[name]?.[0]
    return {
      method,
      path: path.replace(/\{\w+\}/g, id ?? this.thingOf(path)?.never ?? 'x'),
      ...(operation.requestBody && { body: form ?? JSON.stringify(bodies[name]?.[0] ?? {}) }),
      ...(form && { headers: { 'content-type': formType } }),
    }
  }

  /** One that the route could do something with. */
  async toOwn(operation: Operation, key = this.owner): Promise<Asked> {
    return { ...this.to(operation, await this.thingOf(operation.path)?.make(key)), key }
  }

  /** Said in the words of its surface, as it was told before, and with nothing of a stack. */
  refused(operation: Operation, answer: Answer, status: number): void {
    const name = nameOf(operation)
    expect([name, answer.status, answer.text]).toEqual([name, status, answer.text])
    const { error, request_id } = JSON.parse(answer.text)
    expect(error.message.length).toBeGreaterThan(10)
    expect(answer.text).not.toMatch(/\.ts:|node_modules/)
    if (operation.path.startsWith('/api/v1/')) {
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'requestId'])
      expect(error.requestId).toBe(answer.headers['x-request-id'])
    } else {
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
      expect(request_id).toBe(answer.headers['x-request-id'])
    }
    expect(['true', 'false']).toContain(answer.headers['x-should-retry'])
    const told = operation.responses[status]?.description
    expect([name, status, told]).toEqual([
      name,
      status,
      expect.stringContaining(`\`${error.code}\``),
    ])
    this.met.add(`${name} ${status}`)
  }

  #made(name: string, prefix: string, field = 'id'): Thing {
    const make = async (key: string) => {
      const made = await this.make(name, key, bodies[name]?.[0])
      return made[field] as string
    }
    return { make, never: `${prefix}_${'0'.repeat(26)}` }
  }
}
