import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Following } from '../../src/engines/following.ts'
import type { Job } from '../../src/wire/job.ts'
import { settled } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { chat } from '../market/coordinator-stage.ts'
import { erring, FakeWriter, hashing, type Rule } from './fake-writer.ts'

const job = (maxTokens = 200) =>
  ({
    ...{ id: 'job_1.d1', model: 'small', cacheScope: 'x', work: chat({ maxTokens }) },
  }) as Job & { work: Extract<Job['work'], { kind: 'chat' }> }

/** One that follows, and the latest of its guesses by place. */
function follower(rule: Rule, maxTokens?: number) {
  const writer = new FakeWriter(rule)
  const guessed: number[] = []
  const ends: string[] = []
  const components = { generate: writer.generate, onEnd: (why: string) => ends.push(why) }
  const following = new Following(components, job(maxTokens), (_, first, ids) => {
    guessed.length = first
    guessed.push(...ids)
  })
  return { writer, following, guessed, ends }
}

const answer = (rule: Rule, length: number): number[] => {
  const ids: number[] = []
  while (ids.length < length) ids.push(rule(ids) as number)
  return ids
}

describe('a model that follows another', () => {
  it('guesses some way ahead, and no further until it hears of what is said', async () => {
    const { following, guessed, writer } = follower(hashing)
    following.start()
    await settled()
    expect(guessed).toEqual(answer(hashing, 32))
    following.committed(0, 0, answer(hashing, 20))
    await settled()
    expect(guessed).toEqual(answer(hashing, 52))
    expect(writer.running).toBe(0)
    expect(writer.jobs.map(({ resume }) => resume?.[0]?.ids.length ?? 0)).toEqual([0, 32])
    expect(writer.jobs[1]).toMatchObject({ guesses: true, resume: [{ text: '' }] })
  })

  it('begins anew where the other one says something else', async () => {
    const { following, guessed } = follower(erring(hashing, (place) => place === 5))
    following.start()
    await settled()
    expect(guessed[5]).not.toBe(answer(hashing, 6)[5])
    following.committed(0, 0, answer(hashing, 6))
    await settled()
    expect(guessed.slice(6)).toEqual(answer(hashing, 38).slice(6))
  })

  it('goes on behind its own end where the other one does', async () => {
    const short: Rule = (ids) => (ids.length === 4 ? undefined : hashing(ids))
    const { following, guessed } = follower(short)
    following.start()
    await settled()
    expect(guessed).toHaveLength(4)
    following.committed(0, 0, answer(hashing, 5))
    await settled()
    expect(guessed.slice(5)).toEqual(answer(hashing, 37).slice(5))
  })

  it('stops at the limit, and when nobody wants more', async () => {
    const { following, guessed, writer } = follower(hashing, 10)
    following.start()
    await settled()
    following.committed(0, 0, answer(hashing, 10))
    await settled()
    expect(guessed).toHaveLength(10)
    following.end()
    following.committed(0, 10, [1])
    await settled()
    expect(writer.jobs).toHaveLength(1)
  })

  it('says why when it can’t go on', async () => {
    const { following, ends } = follower(() => {
      throw new Error('no such token')
    })
    following.start()
    await settled()
    expect(ends).toEqual(['no such token'])
  })

  it('is right wherever its rule is, whatever it heard before', async () => {
    const wrong = fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 12 })
    const steps = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(wrong, steps, async (places, counts) => {
        const rule = erring(hashing, (place) => places.includes(place))
        const { following, guessed, writer } = follower(rule)
        const said = answer(hashing, 120)
        following.start()
        let known = 0
        for (const count of counts) {
          // Somewhere in the middle of its writing.
          for (let turn = 0; turn < count; turn++) await Promise.resolve()
          following.committed(0, known, said.slice(known, known + count))
          known += count
        }
        await settled()
        const next = answer(rule, 0)
        next.push(...said.slice(0, known))
        while (next.length < guessed.length) next.push(rule(next) as number)
        expect(guessed.slice(known)).toEqual(next.slice(known))
        expect(guessed.length - known).toBeGreaterThanOrEqual(16)
        expect(writer.running).toBe(0)
      }),
      { numRuns: rounds(100, 5_000) },
    )
  })
})
