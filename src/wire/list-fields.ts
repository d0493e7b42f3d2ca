import {
  bytes,
  type EnumOptions,
  type Field,
  LENGTH,
  putNested,
  readEnum,
  readNested,
  UINT32_MAX,
} from './fields.ts'
import { joinBytes } from './octets.ts'
import type { Reader } from './reader.ts'
import type { TextRule } from './rules.ts'
import type { Shape } from './shape.ts'
import type { Writer } from './writer.ts'

export function strings(number: number, rule: TextRule, countMax: number): Field<string[]> {
  return list({
    number,
    type: 'string',
    countMax,
    read(reader) {
      const value = reader.string(rule.bytesMax)
      if (!rule.pattern.test(value)) reader.fail(rule.says)
      return value
    },
    put(writer, tag, value) {
      writer.varint(tag)
      writer.string(value)
    },
  })
}

export function messages<T>(number: number, shape: Shape<T>, countMax: number): Field<T[]> {
  const read = (reader: Reader) => readNested(reader, shape)
  const put = (writer: Writer, tag: number, value: T) => putNested(writer, tag, shape, value)
  return { ...list({ number, type: shape.name, countMax, read, put }), shape }
}

interface Blobs {
  min: number
  max: number
  countMax: number
}

/** Pieces of bytes, each of `min` to `max`. */
export function blobs(number: number, { min, max, countMax }: Blobs): Field<Uint8Array[]> {
  return list({
    number,
    type: 'bytes',
    countMax,
    read(reader) {
      const length = reader.length(max)
      if (length < min) reader.fail(`has less than ${min} bytes`)
      return reader.take(length) as Uint8Array
    },
    put(writer, tag, value) {
      writer.varint(tag)
      writer.bytes(value)
    },
  })
}

const HASH_BYTES = 32

/** Hashes in one piece, one behind the other. */
export function hashes(number: number, countMax: number): Field<Uint8Array[]> {
  const { read, put, ...rest } = bytes(number, { max: countMax * HASH_BYTES })
  return {
    ...rest,
    blank: () => [],
    isBlank: (values) => values.length === 0,
    read(reader) {
      const all = read(reader, none)
      if (all.length % HASH_BYTES !== 0) reader.fail('is no list of hashes')
      return Array.from({ length: all.length / HASH_BYTES }, (_, at) =>
        all.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES),
      )
    },
    put: (writer, values) => put(writer, joinBytes(...values)),
  }
}

const none = new Uint8Array()

interface List<T> {
  number: number
  type: string
  countMax: number
  read(reader: Reader): T
  put(writer: Writer, tag: number, value: T): void
}

/** Each element behind a tag of its own. */
function list<T>({ number, type, countMax, read, put }: List<T>): Field<T[]> {
  const tag = number * 8 + LENGTH
  return {
    tag,
    type,
    repeated: true,
    once: false,
    required: false,
    blank: () => [],
    isBlank: (values) => values.length === 0,
    read(reader, before) {
      if (before.length === countMax) reader.fail(`is there more than ${countMax} times`)
      before.push(read(reader))
      return before
    },
    put(writer, values) {
      for (const value of values) put(writer, tag, value)
    },
  }
}

export const uint32s = (number: number, countMax: number): Field<number[]> =>
  packed({
    number,
    type: 'uint32',
    countMax,
    read(reader) {
      const value = reader.varint()
      if (value > UINT32_MAX) reader.fail(`has a number above ${UINT32_MAX}`)
      return value
    },
    put: (writer, value) => writer.varint(value),
  })

export function enumerations<const N extends readonly string[]>(
  options: EnumOptions<N> & { countMax: number },
): Field<N[number][]> {
  const { number, type, values, countMax } = options
  return {
    ...packed<N[number]>({
      number,
      type,
      countMax,
      read: (reader) => readEnum(reader, options),
      put: (writer, value) => writer.varint(values.indexOf(value)),
    }),
    values,
  }
}

interface Packed<T> {
  number: number
  type: string
  countMax: number
  read(reader: Reader): T
  put(writer: Writer, value: T): void
}

/** All elements behind one tag, in one piece. */
function packed<T>({ number, type, countMax, read, put }: Packed<T>): Field<T[]> {
  const tag = number * 8 + LENGTH
  return {
    tag,
    type,
    repeated: true,
    once: true,
    required: false,
    blank: () => [],
    isBlank: (values) => values.length === 0,
    read(reader, values) {
      const { end } = reader
      reader.end = reader.length(Number.POSITIVE_INFINITY) + reader.at
      while (reader.at < reader.end) {
        if (values.length === countMax) reader.fail(`has more than ${countMax} numbers`)
        values.push(read(reader))
      }
      reader.end = end
      return values
    },
    put(writer, values) {
      writer.varint(tag)
      const start = writer.begin()
      for (const value of values) put(writer, value)
      writer.end(start)
    },
  }
}
