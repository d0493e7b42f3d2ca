/**
 * JSON Schemas that carry the type of what they describe. Each is written once: it checks requests
 * (`check.ts`), gives them their type (`Infer`), and stands in `openapi.json` as it is.
 */
export interface Schema<T = unknown> extends Keywords {
  /** Only for the compiler; no value has it. */
  readonly [described]?: T
}

declare const described: unique symbol

export type Infer<S> = S extends Schema<infer T> ? T : never

/** The part of JSON Schema that we use, all of which `check.ts` checks. */
interface Keywords extends Words {
  readonly type?: 'string' | 'number' | 'integer' | 'boolean' | 'null' | 'array' | 'object'
  readonly anyOf?: readonly Schema[]
  readonly const?: string
  readonly enum?: readonly string[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly format?: 'date-time'
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly propertyNames?: { readonly pattern: string }
  readonly maxProperties?: number
  /**
   * Beyond JSON Schema. `true`: the field is known, but only the values of this schema work here.
   * A list: values that others know and this version does not.
   */
  readonly 'x-unavailable'?: true | readonly string[]
}

/** What only documents. */
interface Words {
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  /** Of text that is a file's bytes. */
  readonly contentMediaType?: string
}

export const string = (
  options: Words & Pick<Keywords, 'minLength' | 'maxLength' | 'format'> = {},
): Schema<string> => ({ type: 'string', ...options })

type Range = Words & Pick<Keywords, 'minimum' | 'maximum'>

export const number = (options: Range = {}): Schema<number> => ({ type: 'number', ...options })

export const integer = (options: Range = {}): Schema<number> => ({ type: 'integer', ...options })

export const boolean = (options: Words = {}): Schema<boolean> => ({ type: 'boolean', ...options })

export const onlyNull = (options: Words & Pick<Keywords, 'x-unavailable'> = {}): Schema<null> => ({
  type: 'null',
  ...options,
})

export const anything = (options: Words = {}): Schema => options

export const literal = <const T extends string>(value: T): Schema<T> => ({
  type: 'string',
  const: value,
})

export const oneOf = <const T extends string>(
  values: readonly T[],
  options: Words & Pick<Keywords, 'x-unavailable'> = {},
): Schema<T> => ({ type: 'string', enum: values, ...options })

export type UnionOptions = Words & Pick<Keywords, 'x-unavailable'>

export const anyOf = <const S extends readonly Schema[]>(
  branches: S,
  options: UnionOptions = {},
): Schema<Infer<S[number]>> => ({ anyOf: branches, ...options })

export const nullable = <T>(schema: Schema<T>, options: UnionOptions = {}): Schema<T | null> => ({
  anyOf: [schema, onlyNull()],
  ...options,
})

export const array = <T>(
  items: Schema<T>,
  options: Words & Pick<Keywords, 'minItems' | 'maxItems'> = {},
): Schema<T[]> => ({ type: 'array', items, ...options })

/** Any names, all with values of one kind. */
export const record = <T>(
  values: Schema<T>,
  options: Words & Pick<Keywords, 'maxProperties' | 'propertyNames'> = {},
): Schema<Record<string, T>> => ({ type: 'object', additionalProperties: values, ...options })

const absent = Symbol('may be absent')

/** A member that an object may lack. */
export interface Optional<T = unknown> extends Schema<T> {
  readonly [absent]: true
}

export const optional = <T>(schema: Schema<T>): Optional<T> => ({ ...schema, [absent]: true })

/** OpenAI lets a client send null wherever it may send nothing; and so do we. */
export const optionalOrNull = <T>(schema: Schema<T>, options?: UnionOptions) =>
  optional(nullable(schema, options))

/** A field that is known and does not work in this version. */
export const unavailable = (description: string) =>
  optional(onlyNull({ description, 'x-unavailable': true }))

type Members = Readonly<Record<string, Schema>>

type ObjectOf<M extends Members> = Flat<
  { [K in keyof M as M[K] extends Optional ? never : K]: Infer<M[K]> } & {
    [K in keyof M as M[K] extends Optional ? K : never]?: Infer<M[K]>
  }
>
type Flat<T> = { -readonly [K in keyof T]: T[K] }

export interface ObjectSchema<M extends Members> extends Schema<ObjectOf<M>> {
  readonly properties: M
}

/** Takes members that it does not name, unless `closed`. */
export const object = <const M extends Members>(properties: M): ObjectSchema<M> => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !(absent in (properties[name] ?? {}))),
})

/** An object with these members and no others: what a request may hold. */
export const closed = <const M extends Members>(properties: M): ObjectSchema<M> => ({
  ...object(properties),
  additionalProperties: false,
})
