import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PrefillPace } from '../../../src/engines/llama/core/prefill-pace.ts'

/** Chunk sizes of a prompt that never ends, on a machine where n tokens take `fixed + n * each` ms. */
function chunks(pace: PrefillPace, fixed: number, each: number, decodes = 30): number[] {
  return Array.from({ length: decodes }, () => {
    const { chunk } = pace
    pace.took(chunk, fixed + chunk * each)
    return chunk
  })
}

describe('PrefillPace', () => {
  it('fills the batch on a fast machine, within a few decodes', () => {
    expect(chunks(new PrefillPace(512), 5, 0.1, 5).at(-1)).toBe(512)
  })

  it('keeps a decode within 200 ms wherever a group of tokens fits into that', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 60, noNaN: true }),
        fc.double({ min: 0.01, max: 15, noNaN: true }),
        (fixed, each) => {
          const settled = chunks(new PrefillPace(512), fixed, each).slice(-10)
          // One larger chunk may be tried, and is given up when it was too slow.
          const tooSlow = settled.filter((chunk) => fixed + chunk * each > 200)
          expect(tooSlow.length).toBeLessThanOrEqual(5)
          expect(Math.max(...settled) - Math.min(...settled)).toBeLessThanOrEqual(
            Math.max(8, Math.min(...settled)),
          )
        },
      ),
    )
  })

  it('takes whole groups, and at least one', () => {
    const settled = chunks(new PrefillPace(512), 45, 8.5)
    expect(settled.at(-1)).toBe(16)
    expect(chunks(new PrefillPace(512), 500, 100).at(-1)).toBe(8)
    for (const chunk of settled) expect(chunk % 4).toBe(0)
  })

  it('learns nothing good from the short end of a prompt', () => {
    const pace = new PrefillPace(512)
    pace.took(3, 1)
    expect(pace.chunk).toBe(64)
    pace.took(3, 1000)
    expect(pace.chunk).toBe(8)
  })

  it('never asks for more than the batch holds', () => {
    expect(new PrefillPace(4).chunk).toBe(4)
  })
})
