import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Admission, type Admitted } from '../../src/market/serve/admission.ts'
import {
  ALLOWANCE_MAX,
  type Settlement,
  UNACKNOWLEDGED_MS,
} from '../../src/market/serve/allowance.ts'
import { SEEN_MS_MIN, SeenJobs } from '../../src/market/serve/seen-jobs.ts'
import { FakeClock } from '../base/fake-clock.ts'

function admissionOf(limits: ConstructorParameters<typeof Admission>[1] = {}) {
  const clock = new FakeClock()
  const admission = new Admission({ clock }, limits)
  let jobs = 0
  const enter = (peer = 'a', work = `work ${jobs}`) => admission.enter(peer, `job_${++jobs}`, work)
  return { clock, admission, enter }
}

describe('the allowance of a coordinator', () => {
  it('is one job, and one more for each that was acknowledged', () => {
    const { enter } = admissionOf()
    const first = enter()
    expect(first.allowance).toBe(1)
    expect(() => enter()).toThrow(
      expect.objectContaining({ code: 'allowance', retryAfterMs: 1000 }),
    )
    first.leave('acknowledged')
    const [second, third] = [enter(), enter()]
    expect(third.allowance).toBe(2)
    expect(() => enter()).toThrow(expect.objectContaining({ code: 'allowance' }))
    expect(enter('another').allowance).toBe(1)
    second.leave('nothing-owed')
    expect(enter().allowance).toBe(2)
  })

  it('ends at as many as there may be streams', () => {
    const { enter } = admissionOf()
    for (let job = 0; job < ALLOWANCE_MAX + 10; job++) enter().leave('acknowledged')
    expect(enter().allowance).toBe(ALLOWANCE_MAX)
  })

  it('is halved by a dispute, and never below one', () => {
    const { enter } = admissionOf()
    for (let job = 0; job < 6; job++) enter().leave('acknowledged')
    enter().leave('disputed')
    expect(enter().allowance).toBe(3)
    for (let job = 0; job < 5; job++) enter('b').leave('disputed')
    expect(enter('b').allowance).toBe(1)
  })

  it('counts what was not acknowledged for a minute, and is halved by it', async () => {
    const { clock, enter } = admissionOf()
    for (let job = 0; job < 3; job++) enter().leave('acknowledged')
    const [one, two] = [enter(), enter()]
    one.leave('unacknowledged')
    await clock.advance(1_000)
    two.leave('unacknowledged')
    expect(() => enter()).toThrow('You may have 1 unacknowledged job here')
    await clock.advance(UNACKNOWLEDGED_MS - 1)
    expect(() => enter()).toThrow()
    await clock.advance(1)
    expect(enter().allowance).toBe(1)
  })

  it('is halved once by all that a crash has cut off: there is still room for who comes back', async () => {
    const { clock, enter } = admissionOf()
    for (let job = 0; job < 15; job++) enter().leave('acknowledged')
    for (const each of Array.from({ length: 6 }, () => enter())) each.leave('unacknowledged')
    expect([enter(), enter()].map(({ allowance }) => allowance)).toEqual([8, 8])
    expect(() => enter()).toThrow()
    // And by the next once more.
    await clock.advance(999)
    expect(() => enter()).toThrow()
    await clock.advance(UNACKNOWLEDGED_MS)
    for (const each of Array.from({ length: 6 }, () => enter())) each.leave('unacknowledged')
    await clock.advance(UNACKNOWLEDGED_MS)
    expect(enter().allowance).toBe(4)
  })

  it('leaves one place to who has proved itself, however much was cut off', async () => {
    const { clock, enter } = admissionOf()
    for (let job = 0; job < 7; job++) enter().leave('acknowledged')
    for (const each of Array.from({ length: 8 }, () => enter())) each.leave('unacknowledged')
    for (let job = 0; job < 3; job++) {
      const one = enter()
      expect(() => enter()).toThrow()
      one.leave('acknowledged')
    }
    // Not to who goes on like that.
    for (let cut = 0; cut < 2; cut++) {
      await clock.advance(1_000)
      enter().leave('unacknowledged')
    }
    expect(() => enter()).toThrow('You may have 1 unacknowledged job here')
  })

  it('has the place of what was cut off for the same work again, once', async () => {
    const { clock, enter } = admissionOf()
    enter('a', 'cut').leave('unacknowledged')
    expect(() => enter('a', 'another')).toThrow()
    expect(() => enter('b', 'cut').leave('unacknowledged')).not.toThrow()
    const again = enter('a', 'cut')
    expect(() => enter('a', 'cut')).toThrow()
    again.leave('unacknowledged')
    expect(() => enter('a', 'cut')).toThrow()
    await clock.advance(UNACKNOWLEDGED_MS)
    enter('a', 'cut').leave('unacknowledged')
    enter('a', 'cut').leave('acknowledged')
    expect(enter('a').allowance).toBe(2)
  })

  it('has no more places than it has when all that was cut off comes again', async () => {
    const { clock, enter } = admissionOf()
    for (let job = 0; job < 3; job++) enter().leave('acknowledged')
    const works = ['x', 'y', 'z']
    for (const place of works.map((work) => enter('a', work))) {
      place.leave('unacknowledged')
      await clock.advance(1_000)
    }
    const first = enter('a', 'x')
    expect(() => enter('a', 'y')).toThrow()
    first.leave('acknowledged')
    const rest = [enter('a', 'y'), enter('a', 'z')]
    expect(() => enter('a')).toThrow()
    for (const place of rest) place.leave('acknowledged')
    expect(enter('a').allowance).toBe(4)
  })

  it('is never passed, and no place is lost, whatever comes', async () => {
    const settlement = fc.constantFrom<Settlement>(
      'acknowledged',
      'disputed',
      'unacknowledged',
      'nothing-owed',
    )
    const step = fc.oneof(fc.constant('enter' as const), fc.record({ nth: fc.nat(20), settlement }))
    const run = async (steps: ('enter' | { nth: number; settlement: Settlement })[]) => {
      const { clock, admission, enter } = admissionOf()
      const open: Admitted[] = []
      for (const next of steps) {
        if (next === 'enter') {
          try {
            const place = enter()
            expect(open.push(place)).toBeLessThanOrEqual(place.allowance)
          } catch (error) {
            expect(error).toMatchObject({ code: 'allowance' })
          }
        } else if (open.length > 0) {
          const [left] = open.splice(next.nth % open.length, 1)
          left?.leave(next.settlement)
          // Only the first counts.
          left?.leave('acknowledged')
        }
        expect(admission.open).toBe(open.length)
      }
      for (const place of open) place.leave('nothing-owed')
      await clock.advance(UNACKNOWLEDGED_MS)
      const { allowance } = enter()
      for (let more = 1; more < allowance; more++) enter()
      expect(() => enter()).toThrow()
    }
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 80 }), run))
  })
})

describe('admission', () => {
  it('takes no job id twice from one coordinator, and tells whose fault that is', () => {
    const { admission } = admissionOf()
    admission.enter('a', 'job_1', 'work').leave('acknowledged')
    const again = () => admission.enter('a', 'job_1', 'work')
    expect(again).toThrow(expect.objectContaining({ code: 'replayed', action: 'penalise' }))
    expect(admission.enter('b', 'job_1', 'work').allowance).toBe(1)
  })

  it('bounds open jobs, and the bytes of their bodies in all and of one coordinator', () => {
    const { admission, enter } = admissionOf({
      openMax: 3,
      bodyBytesMax: 100,
      bodyBytesOfOneMax: 60,
    })
    const a = enter('a')
    a.hold(60)
    expect(() => a.hold(1)).toThrow('of your open jobs')
    const b = enter('b')
    b.hold(40)
    expect(() => b.hold(1)).toThrow(expect.objectContaining({ code: 'overloaded' }))
    a.leave('nothing-owed')
    b.hold(20)
    expect(() => enter('a').hold(41)).toThrow('of all open jobs')
    b.leave('nothing-owed')
    const again = enter('b')
    again.hold(60)
    again.leave('nothing-owed')
    enter('c')
    enter('d')
    expect(() => enter('e')).toThrow('Too many jobs are open here')
    expect(admission.open).toBe(3)
  })

  it('forgets the coordinators that were here longest ago, and none that has open jobs', () => {
    const { admission, enter } = admissionOf({ coordinatorsMax: 2 })
    const a = enter('a')
    enter('b').leave('acknowledged')
    enter('c').leave('acknowledged')
    expect(admission.coordinators).toBe(2)
    expect(enter('b').allowance).toBe(1)
    a.leave('acknowledged')
    expect(enter('a').allowance).toBe(2)
  })

  it('goes by who came last, not by who came first', () => {
    const { enter } = admissionOf({ coordinatorsMax: 2 })
    for (const peer of ['a', 'b', 'a', 'c']) enter(peer).leave('acknowledged')
    expect(enter('a').allowance).toBe(3)
  })

  it('forgets newcomers first, however many they are', () => {
    const { admission, enter } = admissionOf({ coordinatorsMax: 4 })
    enter('known').leave('acknowledged')
    for (let n = 0; n < 20; n++) enter(`new ${n}`).leave('unacknowledged')
    expect(admission.coordinators).toBe(4)
    expect(enter('known').allowance).toBe(2)
  })

  it('counts job ids no longer than it keeps them', async () => {
    const { clock, admission, enter } = admissionOf({ seenMax: 4 })
    const finish = (peer: string) => enter(peer).leave('acknowledged')
    for (let job = 0; job < 3; job++) finish('a')
    await clock.advance(2 * SEEN_MS_MIN)
    for (const peer of ['a', 'b', 'c', 'd']) finish(peer)
    expect(admission.coordinators).toBe(4)
    // The one that came first makes room for the next, and that is enough.
    finish('e')
    expect(admission.coordinators).toBe(4)
    expect(enter('b').allowance).toBe(2)
  })

  it('bounds the job ids it keeps, of one coordinator and in all', async () => {
    const { clock, admission, enter } = admissionOf({ seenOfOneMax: 3, seenMax: 4 })
    for (let job = 0; job < 3; job++) enter('a').leave('acknowledged')
    expect(() => enter('a')).toThrow('too many jobs lately')
    await clock.advance(SEEN_MS_MIN)
    for (let job = 0; job < 2; job++) enter('b').leave('acknowledged')
    expect(admission.coordinators).toBe(1)
    expect(enter('a').allowance).toBe(1)
  })
})

describe('the job ids that were seen', () => {
  it('stay for at least as long as they must, and no more than twice as long', () => {
    const gaps = fc.array(fc.nat(SEEN_MS_MIN + 1000), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(gaps, (waits) => {
        const seen = new SeenJobs(0)
        const added = new Map<string, number>()
        let now = 0
        for (const wait of waits) {
          now += wait
          seen.forgetOld(now)
          for (const [id, at] of added) {
            if (now - at <= SEEN_MS_MIN) expect(seen.has(id)).toBe(true)
          }
          added.set(`job_${added.size}`, now)
          seen.add(`job_${added.size - 1}`)
        }
        seen.forgetOld(now + 2 * SEEN_MS_MIN)
        expect(seen.size).toBe(0)
      }),
    )
  })
})
