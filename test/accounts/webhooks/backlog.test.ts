import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Backlog } from '../../../src/accounts/webhooks/backlog.ts'
import type { Due } from '../../../src/accounts/webhooks/event-record.ts'

let made = 0
const due = (account: string, endpoint: string, at: number): Due => {
  made += 1
  return { id: `whdel_${made}`, account, endpointId: `${account}-${endpoint}`, eventId: 'evt', at }
}

const roomy = { atWorkPerAccount: 100, atWorkPerEndpoint: () => 100 }

describe('a backlog', () => {
  it('gives what is due, each once, within the limits, whatever happens in between', () => {
    const account = fc.constantFrom('a', 'b', 'c')
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('add'),
        account,
        lane: fc.constantFrom('1', '2'),
        at: fc.nat(8),
      }),
      fc.record({
        kind: fc.constantFrom('take', 'take', 'take', 'take', 'done', 'back', 'pass'),
        at: fc.nat(9),
      }),
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 200, size: 'max' }), (story) => {
        const backlog = new Backlog({
          atWorkPerAccount: 2,
          atWorkPerEndpoint: (id) => (id === 'a-1' ? 1 : 2),
        })
        const waiting = new Set<Due>()
        const atWork: Due[] = []
        let now = 0
        const busy = (with_: Partial<Due>) =>
          atWork.filter(
            (each) =>
              (with_.account ?? each.account) === each.account &&
              (with_.endpointId ?? each.endpointId) === each.endpointId,
          ).length
        const mayGo = ({ at, account: of, endpointId }: Due) =>
          at <= now &&
          busy({ account: of }) < 2 &&
          busy({ endpointId }) < (endpointId === 'a-1' ? 1 : 2)
        for (const each of story) {
          if ('account' in each) {
            const item = due(each.account, each.lane, now + each.at)
            waiting.add(item)
            backlog.add(item)
          } else if (each.kind === 'pass') now += each.at
          else if (each.kind === 'take') {
            const free = [...waiting].filter(mayGo)
            const taken = backlog.take(now)
            expect(taken === undefined).toBe(free.length === 0)
            if (taken === undefined) continue
            expect(free).toContain(taken)
            waiting.delete(taken)
            atWork.push(taken)
          } else {
            const [item] = atWork.splice(each.at % (atWork.length || 1), 1)
            if (item === undefined) continue
            if (each.kind === 'done') backlog.done(item)
            else {
              const again = { ...item, at: now + each.at }
              waiting.add(again)
              backlog.back(again)
            }
          }
          const all = [...waiting, ...atWork]
          expect(backlog.size).toBe(all.length)
          expect(backlog.sizeOf('a')).toBe(all.filter(({ account: of }) => of === 'a').length)
        }
      }),
    )
  })

  it('lets accounts take turns, and in each its endpoints', () => {
    const backlog = new Backlog(roomy)
    for (let n = 0; n < 50; n++) backlog.add(due('a', '1', 0))
    backlog.add(due('a', '2', 0))
    backlog.add(due('b', '1', 0))
    const order = Array.from({ length: 6 }, () => backlog.take(0)?.endpointId)
    expect(order).toEqual(['a-1', 'b-1', 'a-2', 'a-1', 'a-1', 'a-1'])
  })

  it('knows when the next one is due', () => {
    const backlog = new Backlog(roomy)
    expect(backlog.nextAt()).toBeUndefined()
    for (const at of [30, 10, 20, 40, 5]) backlog.add(due('a', '1', at))
    expect(backlog.nextAt()).toBe(5)
    expect(backlog.take(4)).toBeUndefined()
    expect([backlog.take(25)?.at, backlog.take(25)?.at, backlog.take(25)?.at]).toEqual([5, 10, 20])
    expect(backlog.nextAt()).toBe(30)
  })
})
