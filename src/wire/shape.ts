import type { PeerError } from '../base/errors.ts'
import type { Field } from './fields.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/** What a `.proto` file says of a message, with the bounds that it can't say. */
export interface Shape<T> {
  readonly name: string
  readonly fields: Readonly<Record<string, Field>>
  /** Up to `reader.end`. */
  read(reader: Reader): T
  write(writer: Writer, value: T): void
}

type Fields = Readonly<Record<string, Field>>
type ValueOf<F> = F extends Field<infer T> ? T : never
type Values<F extends Fields> = { -readonly [K in keyof F]: ValueOf<F[K]> }

/** A field in its message. */
interface Slot {
  key: string
  where: string
  field: Field
  bit: number
}

/** Seen fields are bits of one small number. */
const FIELDS_MAX = 30
/** Lets every field's tag be one index of a short list. */
const TAGS_MAX = 256

/** `Advert.ttl_s`, the name that the `.proto` file uses. */
const nameIn = (message: string, key: string): string =>
  `${message}.${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`

class Slots {
  readonly all: Slot[]
  readonly #byTag: (Slot | undefined)[] = Array.from({ length: TAGS_MAX })
  readonly #numbers: Set<number>

  constructor(name: string, fields: Fields) {
    this.all = Object.entries(fields).map(([key, field], at) => ({
      key,
      field,
      where: nameIn(name, key),
      bit: 1 << at,
    }))
    for (const slot of this.all) this.#byTag[slot.field.tag] = slot
    this.#numbers = new Set(this.all.map(({ field }) => field.tag >>> 3))
    if (this.all.length > FIELDS_MAX) throw new RangeError(`${name} has too many fields.`)
  }

  /** The next known field; undefined for one that was passed over. */
  next(reader: Reader): Slot | undefined {
    const tag = reader.varint()
    const slot = tag < TAGS_MAX ? this.#byTag[tag] : undefined
    if (slot !== undefined) return slot
    const number = Math.floor(tag / 8)
    if (number === 0 || number >= 2 ** 29) reader.fail('has a field with an impossible number')
    if (this.#numbers.has(number)) reader.fail(`has field ${number} in a wrong wire type`)
    reader.skip(tag % 8)
    return undefined
  }
}

export function message<F extends Fields>(name: string, fields: F): Shape<Values<F>> {
  const slots = new Slots(name, fields)
  const required = slots.all.filter(({ field }) => field.required)
  const requiredBits = required.reduce((bits, { bit }) => bits | bit, 0)
  return {
    name,
    fields,

    read(reader) {
      const value: Record<string, unknown> = {}
      for (const { key, field } of slots.all) value[key] = field.blank()
      let seen = 0
      while (reader.at < reader.end) {
        reader.where = name
        const slot = slots.next(reader)
        if (slot === undefined) continue
        reader.where = slot.where
        if (slot.field.once && (seen & slot.bit) !== 0) reader.fail('is there twice')
        seen |= slot.bit
        value[slot.key] = slot.field.read(reader, value[slot.key])
      }
      if ((seen & requiredBits) !== requiredBits) {
        reader.where = required.find(({ bit }) => (seen & bit) === 0)?.where ?? name
        reader.fail('is missing')
      }
      return value as Values<F>
    },

    write(writer, value) {
      for (const { key, field } of slots.all) {
        const part = value[key as keyof F]
        if (!field.isBlank(part)) field.put(writer, part)
      }
    },
  }
}

type Members<M extends Fields> = {
  [K in keyof M]: { type: K; value: NonNullable<ValueOf<M[K]>> }
}[keyof M]

/** A message that is one of several; `undefined` for one that only a newer version knows. */
export interface Oneof<M extends Fields> {
  readonly name: string
  readonly fields: M
  decode(bytes: Uint8Array): Members<M> | undefined
  encode<K extends keyof M>(type: K, value: NonNullable<ValueOf<M[K]>>): Uint8Array<ArrayBuffer>
}

export function oneof<M extends Fields>(name: string, members: M): Oneof<M> {
  const slots = new Slots(name, members)
  return {
    name,
    fields: members,

    decode(bytes) {
      const reader = new Reader(bytes, name)
      let found: Members<M> | undefined
      while (reader.at < reader.end) {
        reader.where = name
        const slot = slots.next(reader)
        if (slot === undefined) continue
        if (found !== undefined) reader.fail('has two contents')
        reader.where = slot.where
        found = { type: slot.key, value: slot.field.read(reader, undefined) } as Members<M>
      }
      if (reader.unsupported !== undefined) throw reader.unsupported
      return found
    },

    encode(type, value) {
      writer.reset()
      members[type]?.put(writer, value)
      return writer.finish()
    },
  }
}

/** Nothing here waits, so one is enough. */
const writer = new Writer()

export function encode<T>(shape: Shape<T>, value: T): Uint8Array<ArrayBuffer> {
  writer.reset()
  shape.write(writer, value)
  return writer.finish()
}

/** Throws `malformed`, else `unsupported_value`. What comes back shares no memory with `bytes`. */
export function decode<T>(shape: Shape<T>, bytes: Uint8Array, bytesMax: number): T {
  const { value, unsupported } = decodeForm(shape, bytes, bytesMax)
  if (unsupported !== undefined) throw unsupported
  return value
}

/** A message that is well formed, and the refusal of what only a newer version knows in it. */
interface WellFormed<T> {
  value: T
  unsupported: PeerError | undefined
}

/** For what is checked in between: whether a signature is good, say. Throws `malformed` alone. */
export function decodeForm<T>(shape: Shape<T>, bytes: Uint8Array, bytesMax: number): WellFormed<T> {
  const reader = new Reader(bytes, shape.name)
  if (bytes.length > bytesMax) reader.fail(`is longer than ${bytesMax} bytes`)
  const value = shape.read(reader)
  return { value, unsupported: reader.unsupported }
}
