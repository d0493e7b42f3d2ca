import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeV8Event, v8Frame } from '../../src/wire/v8-codec.ts'
import { type V8Event, v8Limits } from '../../src/wire/v8-event.ts'
import { checkV8End, reduceV8, type V8State, v8Start } from '../../src/wire/v8-stream.ts'
import { rounds } from '../campaign.ts'
import { refusalOf } from './hostile.ts'
import { changedTree } from './mutations.ts'
import { anyStream, type Told } from './v8-examples.ts'
import { commit, draft, failed, finalize, opened, rollback } from './vectors/v8-events.ts'
import { dataOf } from './vectors/v8-stream.ts'

const reduceAll = (events: readonly V8Event[], state = v8Start) => events.reduce(reduceV8, state)

const shown = ({ committed, ghosts }: V8State) => [committed, ghosts.join('')]

describe('an event', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(anyStream, ({ events }) => {
        const bytes = Buffer.from(events.map(v8Frame).join(''))
        expect(dataOf(bytes).map(decodeV8Event)).toEqual(events)
      }),
    )
  })

  it('of an error says in any case what there is to say', () => {
    const { request_id: _, ...bare } = failed
    expect(decodeV8Event(JSON.stringify(failed))).toEqual(bare)
    expect(decodeV8Event('{"error":{"message":"No."}}')).toEqual({
      event: 'error',
      error: { message: 'No.', type: null, param: null, code: null },
    })
  })

  it('of a stream that was asked for in another way says how to ask', () => {
    const refusal = refusalOf(() => decodeV8Event('{"object":"chat.completion.chunk"}'))
    expect(refusal?.message).toContain('stream_mode')
  })

  it('is refused before it is parsed where it is huge', () => {
    const huge = `"${'x'.repeat(64 * 1024 * 1024)}`
    expect(refusalOf(() => decodeV8Event(huge))?.code).toBe('malformed')
  })
})

describe('a stream', () => {
  it('comes to the text and the counts of who made it', () => {
    fc.assert(
      fc.property(anyStream, (told) => {
        const state = reduceAll(told.events)
        checkV8End(state)
        expect(state).toMatchObject({
          phase: 'done',
          committed: told.answer,
          committedBytes: Buffer.byteLength(told.answer),
          tokens: told.tokens,
          accepted: told.accepted,
          rolledBack: told.rolledBack,
          ghosts: [],
          ghostBytes: 0,
        })
      }),
      { numRuns: rounds(200, 20_000) },
    )
  })

  it('never takes back what was committed, nor changes a state that it had', () => {
    fc.assert(
      fc.property(anyStream, ({ events }) => {
        let state = v8Start
        for (const event of events) {
          const before = state
          const asItWas = JSON.stringify(before)
          state = reduceV8(before, event)
          expect(JSON.stringify(before)).toBe(asItWas)
          expect(state.committed.startsWith(before.committed)).toBe(true)
          expect(state.ghostBytes).toBe(Buffer.byteLength(state.ghosts.join('')))
        }
      }),
    )
  })

  it('that is cut anywhere is cut off, with all that was committed until then', () => {
    fc.assert(
      fc.property(anyStream, fc.nat(), ({ events, answer }, at) => {
        const state = reduceAll(events.slice(0, at % events.length))
        expect(refusalOf(() => checkV8End(state))?.code).toBe('cut_off')
        expect(answer.startsWith(state.committed)).toBe(true)
      }),
    )
  })

  it('can fail at any time, and is over then', () => {
    fc.assert(
      fc.property(anyStream, fc.nat(), ({ events }, at) => {
        const before = reduceAll(events.slice(0, at % events.length))
        const state = reduceV8(before, failed)
        expect(state).toMatchObject({ phase: 'failed', ghosts: [], error: failed.error })
        expect(state.committed).toBe(before.committed)
        for (const event of [...events, failed]) {
          expect(refusalOf(() => reduceV8(state, event))?.code).toBe('malformed')
        }
      }),
    )
  })
})

describe('a stream that was changed', () => {
  const isCounted = (event: V8Event) => event.event === 'token.commit' && event.rest !== true

  it('is refused where a token is missing, twice or in another place', () => {
    fc.assert(
      fc.property(anyStream, fc.nat(), fc.nat(2), ({ events }, which, how) => {
        const counted = [...events.entries()].filter(([, event]) => isCounted(event))
        fc.pre(counted.length > 1)
        const [at, token] = counted[which % (counted.length - 1)] ?? [0, opened]
        const without = events.toSpliced(at, 1)
        const changed = [
          without,
          events.toSpliced(at, 0, token),
          without.toSpliced((counted[counted.length - 1]?.[0] ?? 0) + (which % 2), 0, token),
        ][how] as V8Event[]
        expect(refusalOf(() => checkV8End(reduceAll(changed)))).toBeDefined()
      }),
    )
  })

  it('is refused, or it is another stream of which all holds', () => {
    const others = fc.constantFrom(0, 1, 2, -1, 1.5, '', 'a', null, true, [], {}, 'token.commit')
    const verdicts = new Set<string>()
    fc.assert(
      fc.property(anyStream.chain(changed(others)), (events) => {
        const read: V8Event[] = []
        let state: V8State = v8Start
        const refusal = refusalOf(() => {
          for (const event of events) {
            const known = decodeV8Event(JSON.stringify(event) ?? '')
            if (known === undefined) continue
            state = reduceV8(state, known)
            read.push(known)
          }
          checkV8End(state)
        })
        verdicts.add(refusal?.code ?? 'good')
        expect(['malformed', 'cut_off', undefined]).toContain(refusal?.code)
        expectHolds(read, state)
      }),
      { numRuns: rounds(300, 30_000) },
    )
    expect(verdicts).toContain('good')
    expect(verdicts).toContain('malformed')
  })
})

/** One event is another, or not there, there twice, or in the place of the next. */
const changed = (others: fc.Arbitrary<unknown>) => (told: Told) =>
  fc.tuple(fc.nat({ max: told.events.length - 1 }), fc.nat({ max: 4 })).chain(([at, how]) => {
    const { events } = told
    const [one, next] = [events[at] as V8Event, events[at + 1]]
    if (how === 0) return fc.constant(events.toSpliced(at, 1) as unknown[])
    if (how === 1) return fc.constant(events.toSpliced(at, 0, one) as unknown[])
    if (how === 2 && next) return fc.constant(events.toSpliced(at, 2, next, one) as unknown[])
    return changedTree(one, others).map((other) => events.toSpliced(at, 1, other as V8Event))
  })

/** By a count that knows nothing of drafts. */
function expectHolds(events: readonly V8Event[], state: V8State): void {
  const commits = events.filter((event) => event.event === 'token.commit')
  expect(state.committed).toBe(commits.map(({ text }) => text).join(''))
  expect(state.tokens).toBe(commits.filter(({ rest }) => rest !== true).length)
  const drafts = events.filter((event) => event.event === 'token.provisional').length
  const open = state.phase === 'failed' ? drafts - state.accepted - state.rolledBack : undefined
  expect(drafts).toBe(state.accepted + state.rolledBack + (open ?? state.ghosts.length))
  if (state.phase === 'done') {
    expect(state.finalized).toMatchObject({
      tokens_committed: state.tokens,
      tokens_rolled_back: state.rolledBack,
    })
  }
}

describe('a hostile stream', () => {
  it('has no more drafts than may be, in number and in bytes', () => {
    const many = Array.from({ length: v8Limits.ghosts }, (_, id) => draft(id, 'a'))
    const state = reduceAll([opened, ...many])
    expect(refusalOf(() => reduceV8(state, draft(v8Limits.ghosts, '')))?.code).toBe('malformed')
    const room = v8Limits.ghostBytes - v8Limits.ghosts + 1
    const full = reduceAll([rollback(255), draft(255, 'x'.repeat(room))], state)
    expect(full.ghostBytes).toBe(v8Limits.ghostBytes)
    expect(
      refusalOf(() => reduceAll([rollback(255), draft(255, 'x'.repeat(room + 1))], state)),
    ).toBeDefined()
  })

  it('has no longer answer than may be', () => {
    const text = 'é'.repeat(v8Limits.textBytes / 2)
    let state = reduceV8(v8Start, opened)
    for (let id = 0; id < v8Limits.answerBytes / v8Limits.textBytes; id++) {
      state = reduceV8(state, commit(id, text))
    }
    expect(state.committedBytes).toBe(v8Limits.answerBytes)
    expect(refusalOf(() => reduceV8(state, commit(state.tokens, 'a')))?.code).toBe('malformed')
    const tokens = { ...v8Start, phase: 'open', opened, tokens: v8Limits.tokens } as const
    expect(refusalOf(() => reduceV8(tokens, commit(v8Limits.tokens, '')))?.code).toBe('malformed')
    expect(reduceV8(tokens, finalize(v8Limits.tokens, 0)).phase).toBe('done')
  })

  it('shows markup and control characters as the text that they are', () => {
    const markup = '<img src=x onerror=alert(1)>\r\n\r\nevent: error\ndata: [DONE]\u001b[2J\u0000'
    const events = [opened, draft(0, markup), commit(0, markup), finalize(1, 0)]
    const data = dataOf(Buffer.from(events.map(v8Frame).join('')))
    expect(data).toHaveLength(events.length)
    const states = data.map(decodeV8Event).map((event) => event as V8Event)
    expect(shown(reduceAll(states.slice(0, 2)))).toEqual(['', markup])
    expect(shown(reduceAll(states))).toEqual([markup, ''])
  })

  it('costs as much for each event at its end as at its beginning', () => {
    const text = 'x'.repeat(100)
    let state = reduceV8(v8Start, opened)
    // If each event cost what the answer has, this would take hours.
    for (let id = 0; id < 100_000; id++) {
      state = reduceV8(state, draft(id, text))
      state = reduceV8(state, draft(id + 1, text))
      state = reduceV8(state, rollback(id))
      state = reduceV8(state, commit(id, text))
    }
    expect(state).toMatchObject({ tokens: 100_000, rolledBack: 200_000, committedBytes: 1e7 })
    expect(state.committed).toBe('x'.repeat(1e7))
  })

  it('may storm, but not for ever', () => {
    let state = reduceV8(v8Start, opened)
    const storm = () => {
      for (;;) state = reduceAll([draft(state.tokens, 'a'), rollback(state.tokens)], state)
    }
    expect(refusalOf(storm)?.code).toBe('malformed')
    expect(state.rolledBack).toBe(v8Limits.rolledBackAtFirst)
  })
})
