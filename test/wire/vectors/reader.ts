import { decode, type Oneof, type Shape } from '../../../src/wire/shape.ts'
import { protoJson } from './proto-json.ts'

/** What this implementation makes of the bytes of one message. */
export interface VectorReader {
  /** As JSON; throws as a peer would. */
  value(bytes: Uint8Array): unknown
  /** What it writes of what it has read. */
  again(bytes: Uint8Array): Uint8Array
}

const MAX = Number.MAX_SAFE_INTEGER

export const plainJson = <T>(shape: Shape<T>, bytes: Uint8Array) =>
  protoJson(shape, decode(shape, bytes, MAX) as object)

export function oneofJson(shape: Oneof<never>, bytes: Uint8Array): unknown {
  const frame = shape.decode(bytes) as { type: string; value: object } | undefined
  if (frame === undefined) return null
  const { [frame.type]: member } = shape.fields as Record<string, (typeof shape.fields)[never]>
  const wrapped = { name: shape.name, fields: { [frame.type]: member as never } }
  return protoJson(wrapped, { [frame.type]: frame.value })
}

export function reader<T>(
  open: (bytes: Uint8Array) => T,
  write: (value: NonNullable<T>) => Uint8Array,
  json: (bytes: Uint8Array) => unknown,
): VectorReader {
  return {
    value(bytes) {
      open(bytes)
      return json(bytes)
    },
    again(bytes) {
      const value = open(bytes)
      return value == null ? new Uint8Array() : write(value)
    },
  }
}
