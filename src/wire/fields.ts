import { unsupported } from './malformed.ts'
import type { Reader } from './reader.ts'
import type { TextRule } from './rules.ts'
import type { Shape } from './shape.ts'
import type { Writer } from './writer.ts'

/** One field of a message: its number and type, as in the `.proto` file, and its bounds. */
export interface Field<T = unknown> {
  /** Number and wire type, as they stand before the value. */
  readonly tag: number
  /** In the words of the `.proto` file. */
  readonly type: string
  readonly repeated: boolean
  /** Stands in the bytes at most once. */
  readonly once: boolean
  /** Must be there: its blank would be out of bounds. */
  readonly required: boolean
  /** Names of an enum's values, in order. */
  readonly values?: readonly string[]
  /** The message that this field holds. */
  readonly shape?: { readonly name: string; readonly fields: Readonly<Record<string, Field>> }

  blank(): T
  isBlank(value: T): boolean
  /** The value behind the tag; `before` is what the same field had so far. */
  read(reader: Reader, before: T): T
  /** With the tag, blank or not. */
  put(writer: Writer, value: T): void
}

const VARINT = 0
export const LENGTH = 2
const FLOAT = 5

export const UINT32_MAX = 2 ** 32 - 1

/** Protobuf's own, without the negative ones. */
const ENUM_MAX = 2 ** 31 - 1

interface Range {
  min?: number
  max?: number
}

export const uint32 = (number: number, range: Range = {}): Field<number> =>
  uint(number, 'uint32', { min: 0, max: UINT32_MAX, ...range })

/** At most 2^53 - 1: beyond that many languages count wrong. */
export const uint64 = (number: number, range: Range = {}): Field<number> =>
  uint(number, 'uint64', { min: 0, max: Number.MAX_SAFE_INTEGER, ...range })

function uint(number: number, type: string, { min, max }: Required<Range>): Field<number> {
  const tag = number * 8 + VARINT
  return {
    tag,
    type,
    repeated: false,
    once: true,
    required: min > 0,
    blank: () => 0,
    isBlank: (value) => value === 0,
    read(reader) {
      const value = reader.varint()
      if (value < min || value > max) reader.fail(`is not between ${min} and ${max}`)
      return value
    },
    put(writer, value) {
      writer.varint(tag)
      writer.varint(value)
    },
  }
}

export function bool(number: number): Field<boolean> {
  const tag = number * 8 + VARINT
  return {
    tag,
    type: 'bool',
    repeated: false,
    once: true,
    required: false,
    blank: () => false,
    isBlank: (value) => !value,
    read(reader) {
      const value = reader.varint()
      if (value > 1) reader.fail('is neither 0 nor 1')
      return value === 1
    },
    put(writer, value) {
      writer.varint(tag)
      writer.varint(value ? 1 : 0)
    },
  }
}

/** Neither NaN nor above all numbers; minus infinity is the logarithm of no chance at all. */
export function float(number: number, min = Number.NEGATIVE_INFINITY): Field<number> {
  const tag = number * 8 + FLOAT
  return {
    tag,
    type: 'float',
    repeated: false,
    once: true,
    required: false,
    blank: () => 0,
    isBlank: (value) => Object.is(value, 0),
    read(reader) {
      const value = reader.float()
      if (value >= min && value < Number.POSITIVE_INFINITY) return value
      return reader.fail(`is not a number from ${min} on`)
    },
    put(writer, value) {
      writer.varint(tag)
      writer.float(value)
    },
  }
}

export interface EnumOptions<N extends readonly string[]> {
  number: number
  type: string
  values: N
  /** What a value is read as that a newer version added; without it, the message is refused. */
  unknown?: N[number]
}

export function readEnum<N extends readonly string[]>(
  reader: Reader,
  { values, unknown }: EnumOptions<N>,
): N[number] {
  const number = reader.varint()
  if (number > ENUM_MAX) reader.fail(`is not between 0 and ${ENUM_MAX}`)
  const value: N[number] | undefined = values[number] ?? unknown
  if (value !== undefined) return value
  reader.unsupported ??= unsupported(
    'unsupported_value',
    reader.where,
    'has a value of a newer version',
  )
  return values[0] as N[number]
}

export function enumeration<const N extends readonly string[]>(
  options: EnumOptions<N>,
): Field<N[number]> {
  const tag = options.number * 8 + VARINT
  const { values, type } = options
  return {
    tag,
    type,
    values,
    repeated: false,
    once: true,
    required: false,
    blank: () => values[0] as N[number],
    isBlank: (value) => value === values[0],
    read: (reader) => readEnum(reader, options),
    put(writer, value) {
      writer.varint(tag)
      writer.varint(values.indexOf(value))
    },
  }
}

/** Refused when empty, unless it is optional: then empty says that there is none. */
export function string(number: number, rule: TextRule, optional?: 'optional'): Field<string> {
  const tag = number * 8 + LENGTH
  const mayBeEmpty = optional !== undefined || rule.pattern.test('')
  return {
    tag,
    type: 'string',
    repeated: false,
    once: true,
    required: !mayBeEmpty,
    blank: () => '',
    isBlank: (value) => value === '',
    read(reader) {
      const value = reader.string(rule.bytesMax)
      if (!(rule.pattern.test(value) || (value === '' && mayBeEmpty))) reader.fail(rule.says)
      return value
    },
    put(writer, value) {
      writer.varint(tag)
      writer.string(value)
    },
  }
}

interface Sizes {
  min?: number
  max: number
  /** Empty says that there is none; otherwise `min` to `max`. */
  optional?: true
}

export function bytes(number: number, { min = 0, max, optional }: Sizes): Field<Uint8Array> {
  const tag = number * 8 + LENGTH
  return {
    tag,
    type: 'bytes',
    repeated: false,
    once: true,
    required: min > 0 && optional === undefined,
    blank: () => new Uint8Array(),
    isBlank: (value) => value.length === 0,
    read(reader) {
      const length = reader.length(max)
      if (length < min && !(length === 0 && optional)) reader.fail(`has less than ${min} bytes`)
      return reader.take(length)
    },
    put(writer, value) {
      writer.varint(tag)
      writer.bytes(value)
    },
  }
}

/** A few bytes as the numbers that JSON has for them. */
export function octets(number: number, max: number): Field<number[]> {
  const { read, put, ...rest } = bytes(number, { max })
  return {
    ...rest,
    blank: () => [],
    isBlank: (value) => value.length === 0,
    read: (reader) => Array.from(read(reader, none)),
    put: (writer, value) => put(writer, Uint8Array.from(value)),
  }
}

const none = new Uint8Array()

/** Undefined when it is not there. */
export function nested<T>(
  number: number,
  shape: Shape<T>,
  bytesMax = Number.POSITIVE_INFINITY,
): Field<T | undefined> {
  const tag = number * 8 + LENGTH
  return {
    tag,
    type: shape.name,
    shape,
    repeated: false,
    once: true,
    required: false,
    blank: () => undefined,
    isBlank: (value) => value === undefined,
    read: (reader) => readNested(reader, shape, bytesMax),
    put(writer, value) {
      if (value !== undefined) putNested(writer, tag, shape, value)
    },
  }
}

/** One that must be there. */
export function needed<T>(number: number, shape: Shape<T>): Field<T> {
  const tag = number * 8 + LENGTH
  return {
    ...(nested(number, shape) as Field<T>),
    required: true,
    put: (writer, value) => putNested(writer, tag, shape, value),
  }
}

/** The bytes of a message, which somebody else opens. */
export function sealed(number: number, shape: Shape<unknown>, bytesMax: number): Field<Uint8Array> {
  return { ...bytes(number, { max: bytesMax }), type: shape.name, shape }
}

export function readNested<T>(
  reader: Reader,
  shape: Shape<T>,
  bytesMax = Number.POSITIVE_INFINITY,
): T {
  const { end } = reader
  reader.end = reader.length(bytesMax) + reader.at
  const value = shape.read(reader)
  reader.end = end
  return value
}

export function putNested<T>(writer: Writer, tag: number, shape: Shape<T>, value: T): void {
  writer.varint(tag)
  const start = writer.begin()
  shape.write(writer, value)
  writer.end(start)
}
