import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  arrivalKey,
  feedKey,
  findKey,
  finds,
  placeKey,
  tileKey,
} from '../../../src/receipts/feeds/keys.ts'
import {
  entryRow,
  equivocationRow,
  feedRow,
  ownRow,
  totalsRow,
} from '../../../src/receipts/feeds/rows.ts'
import { headsEquivocation } from '../../../src/wire/equivocation.ts'
import { peakCount } from '../../../src/wire/merkle.ts'
import { filled } from '../../wire/log-examples.ts'

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const whole = fc.maxSafeNat()
const feed = fc.record({ author: octets(32), epoch: octets(8) })
const place = fc.record({ feed, index: whole })
const signed = fc.record({
  payload: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  signature: octets(64),
})
const base = whole.chain((size) =>
  fc.record({
    size: fc.constant(size),
    peaks: fc.array(octets(32), { minLength: peakCount(size), maxLength: peakCount(size) }),
  }),
)
const find = fc.record({
  find: fc.constantFrom(...finds),
  digest: octets(32),
  rank: fc.nat(255),
  place,
})

interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** Comes back as it was, and no part of its bytes or more than them is read as anything. */
function roundTrips<T>(
  name: string,
  codec: Codec<T>,
  values: fc.Arbitrary<NoInfer<T>>,
  isOpen = false,
) {
  it(name, () => {
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = codec.encode(value)
        expect(codec.decode(bytes)).toEqual(value)
        if (isOpen) return
        expect(() => codec.decode(bytes.slice(0, cut % bytes.length))).toThrow()
        expect(() => codec.decode(Uint8Array.of(...bytes, 0))).toThrow()
      }),
    )
  })
}

describe('keys and rows come back as they were, whole or not at all:', () => {
  roundTrips('a feed', feedKey, feed)
  roundTrips('a place', placeKey, place)
  roundTrips('a find', findKey, find)
  roundTrips('an arrival', arrivalKey, fc.record({ arrived: whole, place }))
  const tile = fc.record({ level: fc.nat(13), index: whole })
  roundTrips('a tile', tileKey, fc.record({ feed, tile }))
  const counts = { size: whole, start: whole, bytes: whole }
  const heads = { head: signed, target: signed }
  roundTrips(
    'what is kept of a feed',
    feedRow,
    fc.record({ ...counts, ...heads }, { requiredKeys: ['size', 'start', 'bytes'] }),
  )
  // A base is as long as its size says; without it the row ends before.
  roundTrips('a feed from its middle', feedRow, fc.record({ ...counts, ...heads, base }), true)
  roundTrips('totals', totalsRow, fc.record({ feeds: whole, bytes: whole, barred: whole }))
  const entry = fc.record({ arrived: whole, bytes: fc.uint8Array() })
  roundTrips('an entry', entryRow, entry, true)
  const moving = fc.record({ epoch: octets(8), from: whole })
  roundTrips(
    'the own epoch',
    ownRow,
    fc.record(
      { epoch: octets(8), shown: signed, after: signed, moving },
      { requiredKeys: ['epoch'] },
    ),
    true,
  )
})

it('a proof is kept as it goes over the wire', () => {
  const head = (n: number) => ({ payload: filled(n), signature: filled(n, 64) })
  const proof = headsEquivocation(head(1), head(2))
  expect(equivocationRow.decode(equivocationRow.encode(proof))).toEqual(proof)
})

it('keys are in the order of feeds, then of indices', () => {
  const sign = (n: number) => Math.sign(n)
  fc.assert(
    fc.property(place, place, (a, b) => {
      const order = Buffer.compare(placeKey.encode(a), placeKey.encode(b))
      const feeds = Buffer.compare(feedKey.encode(a.feed), feedKey.encode(b.feed))
      expect(sign(order)).toBe(sign(feeds || a.index - b.index))
    }),
  )
})
