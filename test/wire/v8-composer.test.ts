import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Drafts, V8Composer } from '../../src/wire/v8-composer.ts'
import { type V8Event, v8Limits } from '../../src/wire/v8-event.ts'
import { checkV8End, reduceV8, v8Start } from '../../src/wire/v8-stream.ts'
import { rounds } from '../campaign.ts'
import { bob } from './vectors/cases.ts'
import { finalize, opened, requestId } from './vectors/v8-events.ts'

const { event: _, request_id: __, ...opening } = opened
const { finish_reason, usage, receipt } = finalize(0, 0)
const end = { finish_reason, usage, receipt }

const drafter = bob.peerId
const drafts = (index: number, ids: number[], text: string): Drafts => ({
  index,
  ids,
  text,
  drafter,
})

/** The state behind all of these events, each of which is allowed. */
const reduceAll = (events: readonly V8Event[]) => events.reduce(reduceV8, v8Start)

const kinds = (events: readonly V8Event[]) =>
  events.map((event) => {
    if (event.event === 'token.provisional') return `~${event.id}${event.text}`
    if (event.event === 'token.commit') return `${event.rest ? '+' : '='}${event.id}${event.text}`
    return event.event === 'token.rollback' ? `<${event.from_id} ${event.reason}` : event.event
  })

function opened1() {
  const composer = new V8Composer(requestId)
  return { composer, start: composer.open(opening) }
}

describe('frames of an answer as events', () => {
  it('settle drafts that are right, and take back the others', () => {
    const { composer } = opened1()
    expect(kinds(composer.drafts(drafts(0, [7], 'a'), 1))).toEqual(['~0a'])
    expect(kinds(composer.drafts(drafts(1, [8], 'b'), 2))).toEqual(['~1b'])
    expect(kinds(composer.drafts(drafts(2, [9], 'c'), 3))).toEqual(['~2c'])
    const events = composer.tokens({ index: 0, ids: [7, 5], text: 'aX' })
    expect(kinds(events)).toEqual(['=0', '<1 token_mismatch', '=1aX'])
    expect(kinds(composer.rollback({ from: 1, reason: 'token_mismatch' }))).toEqual([])
    expect(composer.finalize(end).at(-1)).toMatchObject({
      tokens_committed: 2,
      tokens_rolled_back: 2,
    })
  })

  it('give each token its log-probability, if there is one', () => {
    const { composer } = opened1()
    const top = { token: '', bytes: [], top: [] }
    const logprobs = [-1, Number.NEGATIVE_INFINITY].map((logprob) => ({ ...top, logprob }))
    const scored = composer.tokens({ index: 0, ids: [1, 2], text: 'a', logprobs })
    expect(scored).toMatchObject([{ logprob: -1 }, { logprob: -9999 }])
    expect(composer.tokens({ index: 2, ids: [3], text: 'a' })).toMatchObject([{ logprob: null }])
  })

  it('have text without a token as the rest of the last', () => {
    const { composer } = opened1()
    composer.tokens({ index: 0, ids: [1], text: 'a' })
    expect(kinds(composer.tokens({ index: 1, ids: [], text: 'b' }))).toEqual(['+0b'])
    expect(composer.tokens({ index: 1, ids: [], text: '' })).toEqual([])
    const none = opened1().composer
    expect(() => none.tokens({ index: 0, ids: [], text: 'b' })).toThrow(RangeError)
  })

  it('have a long text in parts, none of which cuts a character', () => {
    const { composer, start } = opened1()
    const text = 'x😀世'.repeat(20_000)
    const events = [...start, ...composer.tokens({ index: 0, ids: [1, 2], text })]
    for (const event of events) {
      const part = event.event === 'token.commit' ? event.text : ''
      expect(Buffer.byteLength(part)).toBeLessThanOrEqual(v8Limits.textBytes)
      expect(part.isWellFormed()).toBe(true)
    }
    expect(reduceAll([...events, ...composer.finalize(end)]).committed).toBe(text)
  })

  it('say what was lost, even where nothing was shown', () => {
    const { composer } = opened1()
    expect(kinds(composer.rollback({ from: 0, reason: 'node_lost' }))).toEqual(['<0 node_lost'])
    composer.drafts(drafts(0, [1, 2], 'ab'), 1)
    expect(kinds(composer.rollback({ from: 1, reason: '' }))).toEqual(['<1 token_mismatch'])
    expect(kinds(composer.rollback({ from: 0, reason: 'node_lost' }))).toEqual(['<0 node_lost'])
    expect(kinds(composer.rollback({ from: 9, reason: 'redrafted' }))).toEqual([])
  })

  it('show no more drafts than readers take', () => {
    const { composer, start } = opened1()
    const ids = Array.from({ length: v8Limits.ghosts }, (_, at) => at)
    const events = [
      ...[...start, ...composer.drafts(drafts(0, ids, 'x'), 1)],
      ...composer.drafts(drafts(ids.length, [1], 'y'), 1),
      ...composer.drafts(drafts(0, [1], 'x'.repeat(v8Limits.ghostBytes + 1)), 1),
    ]
    for (let storm = 0; storm < 2 * v8Limits.rolledBackAtFirst; storm++) {
      events.push(...composer.drafts(drafts(0, [1], 'a'), 1))
    }
    events.push(...composer.tokens({ index: 0, ids: [2], text: 'b' }), ...composer.finalize(end))
    const state = reduceAll(events)
    expect(state).toMatchObject({ phase: 'done', committed: 'b' })
    expect(state.rolledBack).toBe(v8Limits.rolledBackAtFirst)
  })
})

/** What a provider may send that keeps to `generate/1`, and one that does not care for drafts. */
type Step =
  | { do: 'draft'; at: number; ids: number[]; text: string }
  | { do: 'tokens'; ids: number[]; text: string }
  | { do: 'rollback'; at: number; reason: string }
  | { do: 'segment' }

const ids = fc.array(fc.nat({ max: 3 }), { maxLength: 5 })
const text = fc.string({ unit: 'grapheme', maxLength: 5 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('draft'), at: fc.integer({ min: -2, max: 6 }), ids, text }),
  fc.record({ do: fc.constant('tokens'), ids, text }),
  fc.record({
    do: fc.constant('rollback'),
    at: fc.integer({ min: -2, max: 6 }),
    reason: fc.constantFrom('', 'node_lost', 'token_mismatch'),
  }),
  fc.constant({ do: 'segment' } as const),
)

describe('whatever drafts a provider sends', () => {
  it('the stream is one that readers take, and its text is that of the tokens', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { composer, start } = opened1()
        const events = [...start]
        let answer = ''
        let index = 0
        let signed = 0
        for (const each of steps) {
          if (each.do === 'draft') {
            events.push(...composer.drafts(drafts(index + each.at, each.ids, each.text), 1))
          } else if (each.do === 'rollback') {
            events.push(...composer.rollback({ from: index + each.at, reason: each.reason }))
          } else if (each.do === 'segment' && index > signed) {
            const cid = opened.open_cid ?? ''
            events.push(...composer.segment({ cid, start: 0, end: index }))
            signed = index
          } else if (each.do === 'tokens' && index + each.ids.length > 0) {
            events.push(...composer.tokens({ index, ids: each.ids, text: each.text }))
            answer += each.text
            index += each.ids.length
          }
        }
        events.push(...composer.finalize(end))
        const state = reduceAll(events)
        checkV8End(state)
        expect(state.committed).toBe(answer)
        expect(state.tokens).toBe(index)
        expect(state.opened?.node).toEqual(opened.node)
      }),
      { numRuns: rounds(300, 30_000) },
    )
  })
})
