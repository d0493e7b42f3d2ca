import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GuessHash } from '../../src/receipts/guess-hash.ts'

const hashOf = (...bytes: number[]) =>
  new Uint8Array(createHash('sha256').update(Uint8Array.from(bytes)).digest())

const id = fc.integer({ min: 0, max: 2 })
const step = fc.oneof(
  fc.record({
    do: fc.constant('guess' as const),
    ids: fc.array(id, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    do: fc.constant('commit' as const),
    ids: fc.array(id, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ do: fc.constant('hear' as const) }),
  fc.record({ do: fc.constant('arrive' as const) }),
)

describe('what came true of guesses', () => {
  it('is the same at both ends, however their frames cross', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const target = new GuessHash()
        const drafter = new GuessHash()
        const there: (() => void)[] = []
        const back: (() => void)[] = []
        let next = 0
        const hear = () => there.shift()?.()
        for (const each of steps) {
          if (each.do === 'commit') {
            const first = target.length
            target.committed(first, each.ids)
            there.push(() => {
              drafter.committed(first, each.ids)
              // It begins anew behind what it did not expect; here, sometimes earlier.
              next = drafter.length
            })
          } else if (each.do === 'guess') {
            const first = Math.max(next, drafter.length)
            next = first + each.ids.length
            drafter.guessed(first, each.ids)
            back.push(() => target.guessed(first, each.ids))
          } else if (each.do === 'hear') hear()
          else back.shift()?.()
        }
        while (there.length > 0) hear()
        for (const arrives of back) arrives()
        expect(target.right).toBe(drafter.right)
        for (let count = 0; count <= target.right; count++) {
          expect(target.digestOf(count)).toEqual(drafter.digestOf(count))
        }
        expect(target.digestOf(target.right + 1)).toBeUndefined()
      }),
    )
  })

  it('are their ids, each in 4 bytes, behind the nonce', () => {
    const [plain, salted] = [new GuessHash(), new GuessHash(Uint8Array.of(9))]
    for (const hash of [plain, salted]) {
      hash.guessed(0, [1, 7, 0xfffffffe])
      expect(hash.committed(0, [1, 8, 0xfffffffe])).toBe(2)
    }
    expect(plain.digestOf(2)).toEqual(hashOf(1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff))
    expect(salted.digestOf(1)).toEqual(hashOf(9, 1, 0, 0, 0))
    expect(plain.digestOf(0)).toEqual(hashOf())
  })

  it('is nothing that is told twice, or out of turn', () => {
    const hash = new GuessHash()
    hash.guessed(0, [1, 2, 3])
    expect(hash.committed(1, [2])).toBe(0)
    expect(hash.committed(0, [1, 2])).toBe(2)
    expect(hash.committed(0, [7, 7, 3])).toBe(1)
    expect(hash.told(0, 9)).toEqual([1, 2, 3])
    expect(hash.right).toBe(3)
  })
})
