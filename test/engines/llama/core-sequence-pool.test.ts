import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SequencePool, SHARE_TOKENS_MIN } from '../../../src/engines/llama/core/sequence-pool.ts'

const tokens = (length: number, first = 0) => Uint32Array.from({ length }, (_, at) => first + at)

/** A pool whose sequence holds these tokens for this scope, free again. */
function filled(count: number, ...contents: [scope: string, held: Uint32Array][]): SequencePool {
  const pool = new SequencePool(count, 1024, { trims: true })
  contents.forEach(([scope, held], index) => {
    const sequence = pool.sequences[index]
    if (sequence === undefined) throw new Error('too many contents')
    pool.take(sequence, scope, held.length, held)
    pool.free(sequence)
  })
  return pool
}

describe('SequencePool', () => {
  it('goes on where a conversation left off', () => {
    const pool = filled(4, ['a', tokens(50)], ['a', tokens(100)])
    const pick = pool.pick('a', tokens(150))
    expect(pick).toMatchObject({ sequence: { index: 1 }, keep: 100 })
    expect(pick?.source).toBeUndefined()
  })

  it('always computes the last token again', () => {
    expect(filled(4, ['a', tokens(100)]).pick('a', tokens(100))?.keep).toBe(99)
  })

  it('keeps nothing where it is to forget', () => {
    const pool = new SequencePool(1, 1024, { trims: true, forgets: true })
    const [only] = pool.sequences
    if (only === undefined) throw new Error('no sequence')
    pool.take(only, 'a', 100, tokens(100))
    expect(pool.pick('a', tokens(150))).toBeUndefined()
    pool.free(only)
    expect(pool.pick('a', tokens(150))).toEqual({ sequence: only, keep: 0 })
  })

  it('never looks at the tokens of another scope', () => {
    const pick = filled(2, ['a', tokens(100)], ['b', tokens(100)]).pick('c', tokens(100))
    expect(pick).toMatchObject({ sequence: { index: 0 }, keep: 0 })
  })

  it('copies a shared start into an empty sequence and leaves the other conversation whole', () => {
    const other = Uint32Array.of(...tokens(60), ...tokens(40, 500))
    const pick = filled(2, ['a', tokens(100)]).pick('a', other)
    expect(pick).toMatchObject({ sequence: { index: 1 }, source: { index: 0 }, keep: 60 })
  })

  it('copies what a running answer has of the same prompt', () => {
    const pool = filled(2, ['a', tokens(100)])
    const running = pool.sequences[0]
    if (running) running.busy = true
    const pick = pool.pick('a', tokens(90))
    expect(pick).toMatchObject({ sequence: { index: 1 }, source: { index: 0 }, keep: 89 })
  })

  it('does not give up a long cache for a short common start', () => {
    const short = Uint32Array.of(...tokens(SHARE_TOKENS_MIN - 1), ...tokens(100, 500))
    const pick = filled(2, ['a', tokens(500)]).pick('a', short)
    expect(pick).toMatchObject({ sequence: { index: 1 }, keep: 0 })
  })

  it('cuts nothing where the memory cannot be cut', () => {
    const pool = new SequencePool(2, 1024, { trims: false })
    const [first] = pool.sequences
    if (first === undefined) throw new Error('no sequence')
    pool.take(first, 'a', 100, tokens(100))
    pool.free(first)
    expect(pool.pick('a', tokens(100))?.keep).toBe(0)
    expect(pool.pick('a', tokens(101))).toMatchObject({ sequence: { index: 0 }, keep: 100 })
  })

  it('wipes the one that was used longest ago when nothing is empty', () => {
    const pool = filled(3, ['a', tokens(10)], ['b', tokens(10)], ['c', tokens(10)])
    expect(pool.pick('d', tokens(5))?.sequence.index).toBe(0)
    expect(pool.sequences.every(({ busy }) => !busy)).toBe(true)
  })

  it('says nothing when all are busy', () => {
    const pool = filled(1, ['a', tokens(10)])
    for (const sequence of pool.sequences) sequence.busy = true
    expect(pool.pick('a', tokens(20))).toBeUndefined()
  })

  it('keeps only equal tokens of the same scope, whatever happened before', () => {
    const prompt = fc.array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 80 })
    const job = fc.record({ scope: fc.constantFrom('a', 'b'), prompt, free: fc.nat(7) })
    fc.assert(
      fc.property(fc.array(job, { maxLength: 30 }), fc.boolean(), (jobs, trims) => {
        const pool = new SequencePool(4, 256, { trims })
        for (const { scope, prompt, free } of jobs) {
          const freed = pool.sequences[free]
          if (freed?.busy) pool.free(freed)
          const wanted = Uint32Array.from(prompt)
          const pick = pool.pick(scope, wanted)
          if (pick === undefined) continue
          const from = pick.source ?? pick.sequence
          expect(pick.sequence.busy).toBe(false)
          expect(pick.keep).toBeLessThan(wanted.length)
          if (pick.keep > 0) {
            expect(from.scope).toBe(scope)
            expect(from.length).toBeGreaterThanOrEqual(pick.keep)
            expect(from.tokens.slice(0, pick.keep)).toEqual(wanted.slice(0, pick.keep))
          }
          pool.take(pick.sequence, scope, pick.keep, wanted)
          pick.sequence.length = wanted.length
        }
      }),
    )
  })
})
