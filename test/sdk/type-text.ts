import type { Schema } from '../../src/api/schema.ts'
import { type Place, type TypeName, typeFiles } from './type-names.ts'

// The TypeScript of the routes' schemas: `src/sdk/types` is written by this, and a test compares.

interface Content {
  content?: Record<string, { schema: Schema }>
}
interface Operation {
  requestBody?: Content
  responses: Record<string, Content>
}
export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>
}

interface Named extends TypeName {
  file: string
  schema: Schema
}

const media: Record<string, string> = {
  events: 'text/event-stream',
  lines: 'application/x-ndjson',
}

/** The text of each file, not formatted yet. */
export function typeTexts(document: ApiDocument): Map<string, string> {
  const all = Object.entries(typeFiles).flatMap(([file, names]) =>
    names.map((each): Named => ({ ...each, file, schema: schemaAt(document, each.at) })),
  )
  return new Map(Object.keys(typeFiles).map((file) => [file, new FileText(file, all).text()]))
}

function schemaAt({ paths }: ApiDocument, [name, first = '', ...steps]: Place): Schema {
  const [method = '', path = ''] = name.split(' ')
  const operation = paths[path]?.[method.toLowerCase()]
  const kind = media[String(first)] ?? 'application/json'
  const status = first in media ? '200' : String(first)
  const holder = first === 'request' ? operation?.requestBody : operation?.responses[status]
  let schema = holder?.content?.[kind]?.schema
  for (const step of steps) {
    const plain = schema && unlessNull(schema)
    if (typeof step === 'number') schema = plain?.anyOf?.[step]
    else schema = step === '[]' ? plain?.items : plain?.properties?.[step]
  }
  if (schema === undefined) throw new Error(`openapi.json has no ${[name, first, ...steps]}`)
  return unlessNull(schema)
}

/** What it is where it is not null. */
function unlessNull(schema: Schema): Schema {
  const [one, other] = schema.anyOf ?? []
  const isNullable = schema.anyOf?.length === 2 && other?.type === 'null'
  return isNullable && one !== undefined ? one : schema
}

/** The same for schemas that take the same. */
const normal = (schema: unknown): string =>
  JSON.stringify(schema, (key, value) =>
    (key === 'description' && typeof value === 'string') || key === 'default' ? undefined : value,
  )

class FileText {
  readonly #file: string
  readonly #all: readonly Named[]
  readonly #used = new Set<Named>()
  /** Who writes one may have an undefined at hand, or a list that is not to be changed. */
  #isRequest = false

  constructor(file: string, all: readonly Named[]) {
    this.#file = file
    this.#all = all
  }

  text(): string {
    const own = this.#all.filter(({ file }) => file === this.#file)
    const types = own.map((each) => this.#declared(each))
    const head = '// Written from the schemas of the routes by test/sdk/types.test.ts: see there.\n'
    return [head, this.#imports(), ...types].join('\n')
  }

  #imports(): string {
    const byFile = Map.groupBy(this.#used, ({ file }) => file)
    byFile.delete(this.#file)
    return [...byFile]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([file, each]) => {
        const names = each.map(({ name }) => name).sort()
        return `import type { ${names.join(', ')} } from './${file}.ts'\n`
      })
      .join('')
  }

  #declared(named: Named): string {
    const { name, schema } = named
    this.#isRequest = named.at.includes('request')
    const doc = docOf({ description: schema.description ?? placeText(named.at) })
    if (schema.properties === undefined) {
      return `${doc}export type ${name} = ${this.#written(schema)}\n`
    }
    const base = this.#all.find((each) => each.name === named.extends)
    if (base !== undefined) this.#used.add(base)
    const above = base === undefined ? '' : ` extends ${base.name}`
    return `${doc}export interface ${name}${above} ${this.#members(schema, this.#inherited(base))}\n`
  }

  #inherited(base: Named | undefined): Record<string, Schema> {
    const own = base?.schema.properties ?? {}
    const above = this.#all.find(({ name }) => name === base?.extends)
    return above === undefined ? own : { ...this.#inherited(above), ...own }
  }

  #members({ properties = {}, required = [] }: Schema, known: Record<string, Schema>): string {
    const members = Object.entries(properties)
      // What this version does not take, nobody is to write.
      .filter(([, schema]) => schema['x-unavailable'] !== true)
      .filter(([name, schema]) => !(name in known) || normal(known[name]) !== normal(schema))
      .map(([name, schema]) => {
        const type = this.#typed(schema)
        if (required.includes(name)) return `${docOf(schema)}${name}: ${type}\n`
        return `${docOf(schema)}${name}?: ${type}${this.#isRequest ? ' | undefined' : ''}\n`
      })
    return `{\n${members.join('')}}`
  }

  /** By its name, where it has one. */
  #typed(schema: Schema): string {
    const text = normal(schema)
    const named = this.#all.find((each) => normal(each.schema) === text)
    if (named === undefined) return this.#written(schema)
    this.#used.add(named)
    return named.name
  }

  #written(schema: Schema): string {
    if (schema.anyOf !== undefined) {
      const each = schema.anyOf.map((branch) => this.#typed(branch))
      return each.includes('unknown') ? 'unknown' : each.join(' | ')
    }
    if (schema.const !== undefined) return quoted(schema.const)
    if (schema.enum !== undefined) return schema.enum.map(quoted).join(' | ')
    if (schema.type === 'integer') return 'number'
    if (schema.type === 'array') return this.#list(schema)
    if (schema.type === 'object') return this.#object(schema)
    return schema.type ?? 'unknown'
  }

  #list({ items }: Schema): string {
    const item = items === undefined ? 'unknown' : this.#typed(items)
    const isPlain = item.startsWith('{') || !/[| ]/.test(item)
    return `${this.#isRequest ? 'readonly ' : ''}${isPlain ? item : `(${item})`}[]`
  }

  #object(schema: Schema): string {
    const { properties = {}, additionalProperties: others } = schema
    if (Object.keys(properties).length > 0) return this.#members(schema, {})
    return `Record<string, ${typeof others === 'object' ? this.#typed(others) : 'unknown'}>`
  }
}

/** Where it is met. */
function placeText([operation, first = '', ...steps]: Place): string {
  const does = first === 'request' ? 'takes' : 'answers'
  const what = { events: 'An event of what', lines: 'A line of what' }[first]
  const isWhole = steps.every((step) => typeof step === 'number')
  return `${isWhole ? (what ?? 'What') : 'In what'} \`${operation}\` ${does}.`
}

const quoted = (text: string): string => `'${text}'`

const COLUMNS = 96

function docOf({ description }: Schema): string {
  if (description === undefined) return ''
  const lines = ['']
  for (const word of description.replaceAll('*/', '*\\/').split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line.length + word.length >= COLUMNS) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  const [first, ...rest] = lines
  if (rest.length === 0) return `/** ${first} */\n`
  return `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */\n`
}
