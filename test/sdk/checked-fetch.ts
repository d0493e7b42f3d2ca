import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Fetch } from '../../src/sdk/client/operation.ts'

interface Content {
  content?: Record<string, { schema?: object }>
}
interface Described {
  security?: unknown[]
  parameters?: { name: string }[]
  responses: Record<string, Content>
}
export interface Document {
  paths: Record<string, Record<string, Described>>
}

interface Operation extends Described {
  /** `GET /v8/receipts/{cid}` */
  name: string
  method: string
  pattern: RegExp
}

/** Asks a real peer, and holds each of its answers against what it says of itself. */
export class CheckedFetch {
  readonly operations: readonly Operation[]
  /** Names of those that were asked and went well. */
  readonly seen = new Set<string>()
  readonly #faults: string[] = []
  readonly #checks: Promise<void>[] = []
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false })

  constructor({ paths }: Document) {
    this.operations = Object.entries(paths)
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, described]) => operationOf(method, path, described)),
      )
      // What has a name of its own comes before what has an id in its place.
      .sort((a, b) => a.name.split('{').length - b.name.split('{').length)
  }

  readonly fetch: Fetch = async (url, init) => {
    const response = await fetch(url, init)
    const { pathname } = new URL(url)
    const method = init.method ?? 'GET'
    const operation = this.operations.find(
      (each) => each.method === method && each.pattern.test(pathname),
    )
    if (operation === undefined) this.#faults.push(`nobody describes ${method} ${pathname}`)
    else if (response.ok) {
      this.#checkRequest(operation, new Headers(init.headers))
      this.#checks.push(this.#check(operation, response.clone()))
    }
    return response
  }

  /** What was answered otherwise than it is described. */
  async faults(): Promise<string[]> {
    await Promise.all(this.#checks)
    return this.#faults
  }

  #checkRequest({ name, security, parameters = [] }: Operation, headers: Headers): void {
    const isOpen = security?.length === 0
    if (isOpen === headers.has('authorization')) this.#faults.push(`${name}: the key`)
    const takesKey = parameters.some((each) => each.name === 'Idempotency-Key')
    if (headers.has('idempotency-key') && !takesKey) this.#faults.push(`${name}: Idempotency-Key`)
  }

  async #check({ name, responses }: Operation, response: Response): Promise<void> {
    const type = response.headers.get('content-type')?.split(';')[0] ?? ''
    const { content = {} } = responses[String(response.status)] ?? {}
    // It may have been left in the middle.
    const text = await response.text().catch(() => '')
    this.seen.add(name)
    const { schema } = content[type] ?? content['*/*'] ?? {}
    if (schema === undefined) {
      if (Object.keys(content).length > 0) this.#faults.push(`${name} answers with ${type}`)
      return
    }
    const validate = this.#ajv.compile(schema)
    for (const value of valuesIn(type, text)) {
      if (validate(value)) continue
      const [fault] = validate.errors ?? []
      this.#faults.push(`${name}: ${fault?.instancePath} ${fault?.message}`)
    }
  }
}

function operationOf(method: string, path: string, described: Described): Operation {
  const upper = method.toUpperCase()
  const pattern = path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')
  return {
    ...described,
    ...{ name: `${upper} ${path}`, method: upper, pattern: new RegExp(`^${pattern}$`) },
  }
}

function valuesIn(type: string, text: string): unknown[] {
  if (type === 'application/json') return [JSON.parse(text)]
  if (type === 'application/x-ndjson')
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  return [...text.matchAll(/^data: (.*)$/gm)]
    .map(([, data = '']) => data)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data))
}
