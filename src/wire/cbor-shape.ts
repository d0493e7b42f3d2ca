import { Cid, type CidKind } from './cid.ts'
import { byKey, type Cbor, type CborMap } from './dag-cbor.ts'
import { malformed } from './malformed.ts'
import type { TextRule } from './rules.ts'

/** What one value of a record may be. */
export interface CborField<T = unknown> {
  /** In the words of the `.cddl` file. */
  readonly type: string
  readonly optional?: true
  /** The record that this field holds. */
  readonly shape?: Pick<CborShape<unknown>, 'name' | 'fields'>
  /** Throws `malformed`. */
  read(value: Cbor, where: string): T
  write(value: T): Cbor
}

/** A map with known keys. Those that are not known are passed over: they are a newer version's. */
export interface CborShape<T> extends CborField<T> {
  readonly name: string
  readonly fields: Readonly<Record<string, CborField>>
  write(value: T): CborMap
}

export interface OptionalField<T> extends CborField<T> {
  readonly optional: true
}

type Fields = Readonly<Record<string, CborField>>
type ValueOf<F> = F extends CborField<infer T> ? T : never
type OptionalKeys<F> = {
  [K in keyof F]: F[K] extends OptionalField<unknown> ? K : never
}[keyof F]
type Values<F> = { [K in Exclude<keyof F, OptionalKeys<F>>]: ValueOf<F[K]> } & {
  [K in OptionalKeys<F>]?: ValueOf<F[K]>
}
/** One flat type instead of two that are joined. */
type Flat<T> = { [K in keyof T]: T[K] }

export const snakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The fields by their names in the code; in the bytes they are in snake case. */
export function record<F extends Fields>(name: string, fields: F): CborShape<Flat<Values<F>>> {
  const slots = Object.entries(fields)
    .map(([key, field]) => ({ key, snake: snakeCase(key), field }))
    .sort((a, b) => byKey(a.snake, b.snake))
    .map((slot) => ({ ...slot, where: `${name}.${slot.snake}` }))
  return {
    type: name,
    name,
    fields,
    shape: { name, fields },

    read(value, where) {
      const map = asMap(value, where)
      const result: Record<string, unknown> = {}
      for (const { key, snake, field, where } of slots) {
        const part = map[snake]
        if (part !== undefined) result[key] = field.read(part, where)
        else if (!field.optional) throw malformed(where, 'is missing')
      }
      return result as Flat<Values<F>>
    },

    write(value) {
      const map: Record<string, Cbor> = {}
      for (const { key, snake, field } of slots) {
        const part = (value as Record<string, unknown>)[key]
        if (part !== undefined) map[snake] = field.write(part)
      }
      return map
    },
  }
}

export function asMap(value: Cbor, where: string): CborMap {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isMap && !(value instanceof Uint8Array) && !(value instanceof Cid)) return value as CborMap
  throw malformed(where, 'is not a map')
}

const same = <T extends Cbor>(value: T): T => value

export const optional = <T>(field: CborField<T>): OptionalField<T> => ({ ...field, optional: true })

export const text = (type: string, { bytesMax, pattern, says }: TextRule): CborField<string> => ({
  type,
  read(value, where) {
    if (typeof value !== 'string') throw malformed(where, 'is not text')
    // A character has one byte at least and three for each of its units at most.
    const isLong = value.length * 3 > bytesMax && utf8.encode(value).length > bytesMax
    if (isLong) throw malformed(where, `is longer than ${bytesMax} bytes`)
    if (!pattern.test(value)) throw malformed(where, says)
    return value
  },
  write: same,
})

const utf8 = new TextEncoder()

export const oneOf = <const N extends readonly string[]>(...names: N): CborField<N[number]> => ({
  type: names.map((name) => `"${name}"`).join(' / '),
  read(value, where) {
    if (typeof value === 'string' && names.includes(value)) return value
    throw malformed(where, `is none of ${names.join(', ')}`)
  },
  write: same,
})

export const whole = (
  type: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER } = {},
): CborField<number> => ({
  type,
  read(value, where) {
    if (typeof value === 'number' && value >= min && value <= max) return value
    throw malformed(where, `is not a whole number between ${min} and ${max}`)
  },
  write: same,
})

export const octets = (type: string, length: number): CborField<Uint8Array> => ({
  type,
  read(value, where) {
    if (value instanceof Uint8Array && value.length === length) return value
    throw malformed(where, `is not ${length} bytes`)
  },
  write: same,
})

export const link = (type: string, kind: CidKind): CborField<Cid> => ({
  type,
  read(value, where) {
    if (value instanceof Cid && value.kind === kind) return value
    throw malformed(where, `is not the CID of ${kind === 'entry' ? 'an entry' : 'a receipt'}`)
  },
  write: same,
})

export const list = <T>(field: CborField<T>, countMax: number): CborField<T[]> => ({
  type: `[0*${countMax} ${field.type}]`,
  ...(field.shape === undefined ? {} : { shape: field.shape }),
  read(value, where) {
    if (!Array.isArray(value)) throw malformed(where, 'is not a list')
    if (value.length > countMax) throw malformed(where, `has more than ${countMax} elements`)
    return value.map((element: Cbor) => field.read(element, where))
  },
  write: (values) => values.map((value) => field.write(value)),
})
