import { integerKey, type ValueCodec } from '../../storage/codec.ts'
import { type Equivocation, equivocationShape } from '../../wire/equivocation.ts'
import type { Signed } from '../../wire/generate.ts'
import { EPOCH_BYTES } from '../../wire/head.ts'
import { peakCount } from '../../wire/merkle.ts'
import { joinBytes } from '../../wire/octets.ts'
import { decode, encode } from '../../wire/shape.ts'
import type { Base } from './tiles.ts'
import type { Totals } from './totals.ts'

/** What is kept of one feed besides its entries and its tree. */
export interface FeedRow {
  /** Entries that are here or have been: the next one's index. */
  size: number
  /** The first that was not pruned. */
  start: number
  /** Of the entries that are here. */
  bytes: number
  /** The newest head that covers no more than `size` entries. */
  head?: Signed
  /** A newer one: this feed is on its way to it. */
  target?: Signed
  /** Where this peer began to follow it, when not at its beginning. */
  base?: Base
}

/** An entry, and when it came here: judging a peer must not depend on that peer's clock. */
export interface EntryRow {
  arrived: number
  bytes: Uint8Array
}

/** Which feed of its own a peer writes to. */
export interface OwnRow {
  epoch: Uint8Array
  /** The newest head that others may have seen. */
  shown?: Signed
  /** The head that this epoch goes on from, of one whose end was lost. */
  after?: Signed
  /** Where the entries begin that are still to be moved here from the epoch before. */
  moving?: { epoch: Uint8Array; from: number }
}

const SIGNATURE_BYTES = 64
const INTEGER_BYTES = 8
const HASH_BYTES = 32

export const feedRow: ValueCodec<FeedRow> = {
  encode: ({ size, start, bytes, head, target, base }) =>
    joinBytes(
      ...[size, start, bytes].map(integerKey.encode),
      maybe(head),
      maybe(target),
      ...(base === undefined ? [] : [integerKey.encode(base.size), ...base.peaks]),
    ),
  decode: (bytes) =>
    readRow(bytes, (row) => ({
      size: row.integer(),
      start: row.integer(),
      bytes: row.integer(),
      ...present('head', row.signed()),
      ...present('target', row.signed()),
      ...present('base', row.isAtEnd ? undefined : readBase(row)),
    })),
}

export const entryRow: ValueCodec<EntryRow> = {
  encode: ({ arrived, bytes }) => joinBytes(integerKey.encode(arrived), bytes),
  decode: (bytes) => ({
    arrived: integerKey.decode(bytes.subarray(0, INTEGER_BYTES)),
    bytes: bytes.slice(INTEGER_BYTES),
  }),
}

export const totalsRow: ValueCodec<Totals> = {
  encode: ({ feeds, bytes, barred }) => joinBytes(...[feeds, bytes, barred].map(integerKey.encode)),
  decode: (bytes) =>
    readRow(bytes, (row) => ({
      feeds: row.integer(),
      bytes: row.integer(),
      barred: row.integer(),
    })),
}

export const equivocationRow: ValueCodec<Equivocation> = {
  encode: (value) => encode(equivocationShape, value),
  decode: (bytes) => decode(equivocationShape, bytes, bytes.length),
}

export const ownRow: ValueCodec<OwnRow> = {
  encode: ({ epoch, shown, after, moving }) =>
    joinBytes(
      epoch,
      maybe(shown),
      maybe(after),
      ...(moving === undefined ? [] : [moving.epoch, integerKey.encode(moving.from)]),
    ),
  decode: (bytes) =>
    readRow(bytes, (row) => ({
      epoch: row.bytes(EPOCH_BYTES),
      ...present('shown', row.signed()),
      ...present('after', row.signed()),
      ...(row.isAtEnd ? {} : { moving: { epoch: row.bytes(EPOCH_BYTES), from: row.integer() } }),
    })),
}

function readBase(row: Row): Base {
  const size = row.integer()
  const peaks = Array.from({ length: peakCount(size) }, () => row.bytes(HASH_BYTES))
  return { size, peaks }
}

/** The length of what follows, then signature and payload; 0 for none. */
const maybe = (signed: Signed | undefined): Uint8Array => {
  if (signed === undefined) return integerKey.encode(0)
  const { signature, payload } = signed
  return joinBytes(integerKey.encode(SIGNATURE_BYTES + payload.length), signature, payload)
}

const present = <K extends string, V>(key: K, value: V | undefined): { [k in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { [k in K]?: V }

function readRow<T>(bytes: Uint8Array, read: (row: Row) => T): T {
  const row = new Row(bytes)
  const value = read(row)
  if (!row.isAtEnd) throw new RangeError('bytes are left over')
  return value
}

/** Takes a row apart from its beginning. */
class Row {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  integer(): number {
    return integerKey.decode(this.bytes(INTEGER_BYTES))
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new RangeError('the row is cut off')
    this.#at += length
    return this.#bytes.slice(this.#at - length, this.#at)
  }

  signed(): Signed | undefined {
    const length = this.integer()
    if (length === 0) return undefined
    const signature = this.bytes(SIGNATURE_BYTES)
    return { signature, payload: this.bytes(length - SIGNATURE_BYTES) }
  }
}
