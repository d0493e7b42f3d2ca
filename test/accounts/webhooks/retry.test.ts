import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ATTEMPTS_MAX, retryMs } from '../../../src/accounts/webhooks/retry.ts'
import { seededRandom } from '../../../src/base/random.ts'

const hours = 3_600_000
const planned = [5_000, 300_000, 1_800_000, 2 * hours, 5 * hours, 10 * hours, 10 * hours]

describe('the retry schedule', () => {
  it('waits as planned and up to a tenth more, seven times', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seededRandom(seed)
        for (const [index, wait] of planned.entries()) {
          const ms = retryMs(index + 1, random) ?? 0
          expect(ms).toBeGreaterThanOrEqual(wait)
          expect(ms).toBeLessThanOrEqual(wait * 1.1)
        }
        expect(retryMs(ATTEMPTS_MAX, random)).toBeUndefined()
      }),
    )
    expect(ATTEMPTS_MAX).toBe(8)
  })

  it('spreads: what failed together does not come back together', () => {
    const random = seededRandom(3)
    const waits = new Set(Array.from({ length: 100 }, () => retryMs(2, random)))
    expect(waits.size).toBeGreaterThan(80)
  })
})
