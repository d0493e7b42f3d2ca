/**
 * How a table's keys become bytes. Rows are ordered by these bytes, so the encoding is the order.
 * `decode` throws on bytes that `encode` never makes.
 */
export interface KeyCodec<K> {
  encode(key: K): Uint8Array
  decode(bytes: Uint8Array): K
}

/** How a row's value becomes bytes. `decode` checks: what it returns is not checked again. */
export interface ValueCodec<V> {
  encode(value: V): Uint8Array
  decode(bytes: Uint8Array): V
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Ordered by code point (not by UTF-16 unit, as JavaScript's `<` does above U+FFFF). */
export const textKey: KeyCodec<string> = {
  encode(key) {
    if (!key.isWellFormed()) throw new TypeError('a key must be well-formed Unicode')
    return encoder.encode(key)
  },
  decode: (bytes) => decoder.decode(bytes),
}

/** Ordered byte by byte; a prefix comes before what it begins. */
export const bytesKey: KeyCodec<Uint8Array> = {
  encode: (key) => key.slice(),
  decode: (bytes) => bytes,
}

/** Whole numbers from 0 to 2^53 - 1 as 8 bytes, big-endian: ordered as numbers. */
export const integerKey: KeyCodec<number> = {
  encode(key) {
    if (!Number.isSafeInteger(key) || key < 0) {
      throw new RangeError(`a key must be a whole number from 0 to 2^53 - 1, not ${key}`)
    }
    const bytes = new Uint8Array(8)
    // Byte by byte: a BigInt, or a view of the buffer behind, costs more than all the rest of a key.
    for (let at = 7, left = key; at >= 0; at--, left = Math.floor(left / 256))
      bytes[at] = left % 256
    return bytes
  },
  decode(bytes) {
    if (bytes.length !== 8) throw new RangeError(`a number takes 8 bytes, not ${bytes.length}`)
    const key = bytes.reduce((number, byte) => number * 256 + byte, 0)
    if (!Number.isSafeInteger(key)) throw new RangeError('a number above 2^53 - 1')
    return key
  },
}

/** JSON; `check` turns what was parsed into a `V` or throws. */
export function jsonValue<V>(check: (value: unknown) => V): ValueCodec<V> {
  return {
    encode(value) {
      const text = JSON.stringify(value)
      if (text === undefined) throw new TypeError('a value that JSON cannot hold')
      return encoder.encode(text)
    },
    decode: (bytes) => check(JSON.parse(decoder.decode(bytes))),
  }
}

export const bytesValue: ValueCodec<Uint8Array> = {
  encode: (value) => value.slice(),
  decode: (bytes) => bytes,
}
