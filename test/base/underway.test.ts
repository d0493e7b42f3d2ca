import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Underway } from '../../src/base/underway.ts'

describe('what is under way', () => {
  it('is what came and did not leave', () => {
    const steps = fc.array(fc.oneof(fc.constant('come' as const), fc.nat({ max: 40 })))
    fc.assert(
      fc.property(steps, (what) => {
        const underway = new Underway<number>()
        const here = new Set<number>()
        const leaves: (() => void)[] = []
        for (const step of what) {
          if (step === 'come') {
            here.add(leaves.length)
            leaves.push(underway.add(leaves.length))
          } else {
            here.delete(step)
            // Also of one that has left already.
            leaves[step]?.()
          }
          expect(underway.all().sort()).toEqual([...here].sort())
          expect(underway.size).toBe(here.size)
        }
      }),
    )
  })
})
