import * as fc from 'fast-check'
import { expect } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { varint } from './vectors/raw.ts'

/** What reading throws, which must be one of ours; undefined when it does not throw. */
export function refusalOf(read: () => unknown): PeerError | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(PeerError)
    return error as PeerError
  }
}

/** Fields 30 to 2^29 - 1 of every wire type in use. */
export const unknownFields = fc
  .array(
    fc.tuple(
      fc.integer({ min: 30, max: 2 ** 29 - 1 }),
      fc.oneof(
        fc.tuple(fc.constant(0), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(varint)),
        fc.tuple(fc.constant(1), fc.uint8Array({ minLength: 8, maxLength: 8 })),
        fc.tuple(fc.constant(5), fc.uint8Array({ minLength: 4, maxLength: 4 })),
        fc.tuple(
          fc.constant(2),
          fc
            .uint8Array({ maxLength: 20 })
            .map((bytes) => Buffer.concat([varint(BigInt(bytes.length)), bytes])),
        ),
      ),
    ),
    { maxLength: 4 },
  )
  .map((fields) =>
    Buffer.concat(
      fields.flatMap(([number, [wireType, rest]]) => [varint(BigInt(number * 8 + wireType)), rest]),
    ),
  )
