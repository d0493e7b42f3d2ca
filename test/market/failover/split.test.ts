import fc from 'fast-check'
import { expect, it } from 'vitest'
import { split } from '../../../src/market/failover/split.ts'
import { quote } from '../../../src/market/quote.ts'

const size = fc.nat({ max: 1_000_000 })
const part = fc.record({
  paid: fc.record({ inputTokens: size, outputTokens: size }),
  price: fc.record({ input: size, output: size }),
})
const exact = ({
  paid,
  price,
}: {
  paid: { inputTokens: number; outputTokens: number }
  price: { input: number; output: number }
}) => paid.inputTokens * price.input + paid.outputTokens * price.output

it('one part costs what it would have cost alone', () => {
  fc.assert(
    fc.property(part, (only) => {
      expect(split([only])).toEqual([quote(only.paid, only.price)])
    }),
  )
})

it('all together are rounded up once, and each is off by less than one', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 9 }), (parts) => {
      const amounts = split(parts)
      const total = parts.reduce((sum, each) => sum + exact(each), 0)
      expect(amounts.reduce((sum, each) => sum + each, 0)).toBe(Math.ceil(total / 1_000))
      for (const [at, amount] of amounts.entries()) {
        const own = exact(parts[at] as (typeof parts)[number]) / 1_000
        expect(Math.abs(amount - own)).toBeLessThan(1)
      }
    }),
  )
})

it('who lost most by rounding down is given first, and the earlier of two', () => {
  const of = (thousandths: number) => ({
    paid: { inputTokens: 0, outputTokens: thousandths },
    price: { input: 0, output: 1 },
  })
  // 7.1 in all, so one each for those that have a rest.
  expect(split([of(1_400), of(2_700), of(3_000)])).toEqual([2, 3, 3])
  expect(split([of(1_500), of(500)])).toEqual([2, 0])
  expect(split([of(1_200), of(2_600)])).toEqual([1, 3])
})
