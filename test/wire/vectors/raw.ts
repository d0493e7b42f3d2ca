// Protobuf by hand, for bytes that no honest writer makes.

export function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Uint8Array.from([...bytes, Number(rest)])
    bytes.push(Number(rest & 127n) | 128)
  }
}

type Bytes = Uint8Array | string

export const join = (...parts: Bytes[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part as string))))

const tag = (field: number, wireType: number) => varint(BigInt(field * 8 + wireType))

export const number = (field: number, value: number | bigint): Uint8Array =>
  join(tag(field, 0), varint(BigInt(value)))

export const content = (field: number, bytes: Bytes): Uint8Array =>
  join(tag(field, 2), varint(BigInt(Buffer.from(bytes as string).length)), bytes)

export const fixed32 = (field: number, ...bytes: number[]): Uint8Array =>
  join(tag(field, 5), Uint8Array.from(bytes))

export const fixed64 = (field: number): Uint8Array => join(tag(field, 1), new Uint8Array(8))

/** With a length that is not that of the bytes. */
export const lying = (field: number, length: number, bytes: Bytes): Uint8Array =>
  join(tag(field, 2), varint(BigInt(length)), bytes)

/** 3 starts a group, 4 ends it; nobody uses them any more. */
export const group = (field: number): Uint8Array => join(tag(field, 3), tag(field, 4))

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Made so long by a field of a newer version, of a length that takes two bytes. */
export const padded = (bytes: Uint8Array, length: number): Uint8Array =>
  join(bytes, content(200, new Uint8Array(length - bytes.length - 4)))

/** Fields of a newer version, one of each wire type. */
export const unknown = (): Uint8Array =>
  join(number(200, 2n ** 64n - 1n), content(201, 'new'), fixed32(202, 1, 2, 3, 4), fixed64(203))
