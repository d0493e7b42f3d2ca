import { ByteBuffer } from './byte-buffer.ts'
import { CID_BYTES, Cid, readCid } from './cid.ts'
import { malformed } from './malformed.ts'

// Why not a library's reader: those at hand read doubled and unsorted keys, other spellings of a
// number and any CID, and are bounded after they have built everything. This one reads nothing but
// what `encodeDagCbor` writes, so a value has one spelling, and one CID.

/** What a record of the log is made of. Numbers are whole, between -(2^53 - 1) and 2^53 - 1. */
export type Cbor = null | boolean | number | string | Uint8Array | Cid | readonly Cbor[] | CborMap

/** Keys match `^[a-z][a-z0-9_]{0,31}$`. */
export interface CborMap {
  readonly [key: string]: Cbor | undefined
}

export interface CborBounds {
  bytesMax: number
  /** Maps and lists inside each other. */
  depthMax: number
  /** Of all kinds, at all depths together. */
  valuesMax: number
}

const UINT = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const LIST = 4
const MAP = 5
const TAG = 6
const SIMPLE = 7

const FALSE = 20
const TRUE = 21
const NULL = 22
const CID_TAG = 42

const KEY_CHARS_MAX = 32

/** Short, and never a name that a language's objects bring along with a meaning of its own. */
export const cborKey = /^[a-z][a-z0-9_]{0,31}$/

const utf8Writer = new TextEncoder()
const utf8Reader = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Up to here a loop is faster than the encoder's overhead. */
const SHORT = 32

/** Shorter keys first, then by their characters: the order that DAG-CBOR asks for. */
export const byKey = (a: string, b: string): number =>
  a.length - b.length || (a === b ? 0 : a < b ? -1 : 1)

/** Those of a record that was described, or read, are sorted already. */
function keysOf(map: CborMap): string[] {
  const keys = Object.keys(map)
  let before = ''
  for (const key of keys) {
    if (map[key] === undefined || byKey(before, key) >= 0) {
      return keys.filter((each) => map[each] !== undefined).sort(byKey)
    }
    before = key
  }
  return keys
}

/** `cborKey`, at a tenth of its cost. */
function isKey(text: string): boolean {
  const { length } = text
  if (length === 0 || length > KEY_CHARS_MAX) return false
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    const isLetter = code >= 0x61 && code <= 0x7a
    if (isLetter) continue
    if (at === 0 || !(code === 0x5f || (code >= 0x30 && code <= 0x39))) return false
  }
  return true
}

/** Throws a RangeError for what is no `Cbor`. Members that are `undefined` are left out. */
export function encodeDagCbor(value: Cbor): Uint8Array<ArrayBuffer> {
  writer.reset()
  writer.value(value)
  return writer.finish()
}

class CborWriter extends ByteBuffer {
  value(value: Cbor): void {
    if (typeof value === 'string') this.#text(value)
    else if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'boolean') this.#head(SIMPLE, value ? TRUE : FALSE)
    else if (value === null) this.#head(SIMPLE, NULL)
    else if (value instanceof Uint8Array) this.#content(BYTES, value)
    else if (value instanceof Cid) this.#cid(value)
    else if (Array.isArray(value)) this.#list(value)
    else if (typeof value === 'object') this.#map(value as CborMap)
    else throw new RangeError(`DAG-CBOR has no ${typeof value}.`)
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      throw new RangeError(`A record has whole numbers of 53 bits, not ${value}.`)
    }
    if (value < 0) this.#head(NEGATIVE, -1 - value)
    else this.#head(UINT, value)
  }

  #text(value: string): void {
    if (value.length <= SHORT && this.#ascii(value)) return
    if (!value.isWellFormed()) throw new RangeError('A record has no half of a surrogate pair.')
    this.#content(TEXT, utf8Writer.encode(value))
  }

  #content(major: number, value: Uint8Array): void {
    this.#head(major, value.length)
    this.append(value)
  }

  /** Identity's zero byte stands before a CID that is bytes. */
  #cid(cid: Cid): void {
    this.#head(TAG, CID_TAG)
    this.#head(BYTES, CID_BYTES + 1)
    this.room(CID_BYTES + 1)
    this.memory[this.at] = 0
    this.memory.set(cid.bytes, this.at + 1)
    this.at += CID_BYTES + 1
  }

  #list(values: readonly Cbor[]): void {
    this.#head(LIST, values.length)
    for (const value of values) this.value(value)
  }

  #map(map: CborMap): void {
    const keys = keysOf(map)
    this.#head(MAP, keys.length)
    for (const key of keys) {
      if (!isKey(key)) throw new RangeError(`A record has no key like ${key}.`)
      this.#ascii(key)
      this.value(map[key] as Cbor)
    }
  }

  /** False, with nothing written, for a text with other characters. */
  #ascii(value: string): boolean {
    const start = this.at
    this.#head(TEXT, value.length)
    if (this.ascii(value)) return true
    this.at = start
    return false
  }

  #head(major: number, argument: number): void {
    this.room(9)
    const type = major << 5
    if (argument < 24) this.memory[this.at++] = type | argument
    else if (argument < 2 ** 8) this.#big(type | 24, argument, 1)
    else if (argument < 2 ** 16) this.#big(type | 25, argument, 2)
    else if (argument < 2 ** 32) this.#big(type | 26, argument, 4)
    else this.#big(type | 27, argument, 8)
  }

  #big(first: number, argument: number, length: number): void {
    this.memory[this.at] = first
    let rest = argument
    for (let at = this.at + length; at > this.at; at--) {
      this.memory[at] = rest % 256
      rest = Math.floor(rest / 256)
    }
    this.at += length + 1
  }
}

/** Nothing here waits, so one is enough. */
const writer = new CborWriter()

/**
 * Throws `malformed` for all that is not the one spelling of a value within the bounds. What comes
 * back shares no memory with `bytes`.
 */
export function decodeDagCbor(bytes: Uint8Array, where: string, bounds: CborBounds): Cbor {
  if (bytes.length > bounds.bytesMax) {
    throw malformed(where, `is longer than ${bounds.bytesMax} bytes`)
  }
  const reader = new CborReader(bytes, where, bounds)
  const value = reader.value(bounds.depthMax)
  if (!reader.isAtEnd) throw malformed(where, 'has bytes left over')
  return value
}

class CborReader {
  readonly #bytes: Uint8Array
  readonly #where: string
  readonly #bounds: CborBounds
  #at = 0
  #values = 0

  constructor(bytes: Uint8Array, where: string, bounds: CborBounds) {
    this.#bytes = bytes
    this.#where = where
    this.#bounds = bounds
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** `depth`: how many more maps and lists may be inside each other. */
  value(depth: number): Cbor {
    this.#values++
    if (this.#values > this.#bounds.valuesMax) {
      this.#fail(`has more than ${this.#bounds.valuesMax} values`)
    }
    const first = this.#byte()
    const major = first >> 5
    if (major === SIMPLE) return this.#simple(first & 31)
    const argument = this.#argument(first & 31)
    switch (major) {
      case UINT:
        return argument
      case NEGATIVE:
        if (argument >= Number.MAX_SAFE_INTEGER) this.#fail('has a number below -(2^53 - 1)')
        return -1 - argument
      case BYTES:
        return this.#take(argument)
      case TEXT:
        return this.#text(argument)
      case TAG:
        return this.#cid(argument)
      default:
        if (depth === 0) this.#fail(`is nested deeper than ${this.#bounds.depthMax}`)
        return major === LIST ? this.#list(argument, depth - 1) : this.#map(argument, depth - 1)
    }
  }

  #simple(value: number): Cbor {
    if (value === FALSE) return false
    if (value === TRUE) return true
    if (value === NULL) return null
    return this.#fail('has a float, or a value that records do not have')
  }

  #cid(tag: number): Cid {
    if (tag !== CID_TAG) this.#fail('has a tag that is not that of a CID')
    const first = this.#byte()
    const length = first >> 5 === BYTES ? this.#argument(first & 31) : 0
    const bytes = this.#take(length)
    if (bytes[0] !== 0) this.#fail('has a CID that does not begin with a zero byte')
    return readCid(bytes.subarray(1), this.#where)
  }

  #list(length: number, depth: number): Cbor[] {
    this.#assertLeft(length)
    const list: Cbor[] = []
    for (let n = 0; n < length; n++) list.push(this.value(depth))
    return list
  }

  #map(length: number, depth: number): CborMap {
    this.#assertLeft(length * 2)
    const map: Record<string, Cbor> = {}
    let before = ''
    for (let n = 0; n < length; n++) {
      const key = this.#key()
      if (n > 0 && byKey(before, key) >= 0) this.#fail('has keys that are doubled or not sorted')
      map[key] = this.value(depth)
      before = key
    }
    return map
  }

  #key(): string {
    const first = this.#byte()
    const length = first >> 5 === TEXT ? this.#argument(first & 31) : 0
    const key = length > KEY_CHARS_MAX ? '' : this.#text(length)
    if (!isKey(key)) this.#fail(`has a key that is not like ${cborKey.source}`)
    return key
  }

  #text(length: number): string {
    this.#assertLeft(length)
    const start = this.#at
    this.#at += length
    if (length > SHORT) return this.#decode(start)
    let text = ''
    for (let at = start; at < this.#at; at++) {
      const byte = this.#bytes[at] ?? 0
      if (byte > 127) return this.#decode(start)
      text += String.fromCharCode(byte)
    }
    return text
  }

  #decode(start: number): string {
    try {
      return utf8Reader.decode(this.#bytes.subarray(start, this.#at))
    } catch {
      return this.#fail('has text that is not UTF-8')
    }
  }

  /** In as few bytes as it needs. 31, an indefinite length, is refused with the rest above 27. */
  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) this.#fail('has an indefinite length')
    const length = 1 << (info - 24)
    let value = 0
    for (let n = 0; n < length; n++) value = value * 256 + this.#byte()
    if (value > Number.MAX_SAFE_INTEGER) this.#fail('has a number above 2^53 - 1')
    if (value < (length === 1 ? 24 : 256 ** (length / 2))) {
      this.#fail('has a number that is longer than it needs to be')
    }
    return value
  }

  #take(length: number): Uint8Array {
    this.#assertLeft(length)
    const copy = new Uint8Array(length)
    copy.set(this.#bytes.subarray(this.#at, this.#at + length))
    this.#at += length
    return copy
  }

  #byte(): number {
    this.#assertLeft(1)
    return this.#bytes[this.#at++] ?? 0
  }

  #assertLeft(bytes: number): void {
    if (bytes > this.#bytes.length - this.#at) this.#fail('is cut off')
  }

  #fail(reason: string): never {
    throw malformed(this.#where, reason)
  }
}
