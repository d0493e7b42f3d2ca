import { describe, expect, it } from 'vitest'
import { checkMessage } from '../../../src/engines/llama/check-message.ts'

const chunks = (chunk: object) => ({ type: 'chunks', chunks: [[1, chunk]] })
const provisional = {
  type: 'provisional',
  choice: 0,
  index: 4,
  ids: [7],
  text: 'a',
  drafter: 'far',
}
const rollback = { type: 'rollback', choice: 0, from: 4, reason: 'token_mismatch' }
const usage = { inputTokens: 3, cachedTokens: 0, outputTokens: 9 }
const done = (drafting: unknown) => ({ type: 'done', finish: ['stop'], usage, drafting })
const counts = { drafter: 'far', drafted: 5, accepted: 3, rolledBack: 2 }
const committed = { type: 'committed', run: 1, choice: 0, first: 0, ids: [1, 2] }
const calibrated = (batchTimes: unknown) => ({
  type: 'calibrated',
  result: { slots: 1, threads: 1, measured: [], batchTimes },
})

describe('what the engine process says of guesses', () => {
  it.each<[string, object]>([
    ['provisional', chunks(provisional)],
    ['rollback', chunks(rollback)],
    ['done without guesses', chunks(done(undefined))],
    ['done with counts', chunks(done([counts]))],
    ['committed', committed],
    ['batch times', calibrated([{ tokens: 4, ms: 1.5 }])],
    ['no batch times', calibrated(undefined)],
  ])('is taken as it is: %s', (_, message) => {
    expect(checkMessage(message)).toBe(message)
  })

  it.each<[string, object]>([
    ['a place before the first', chunks({ ...provisional, index: -1 })],
    ['ids that are none', chunks({ ...provisional, ids: [0.5] })],
    ['no text', chunks({ ...provisional, text: undefined })],
    ['a drafter without end', chunks({ ...provisional, drafter: 'x'.repeat(1000) })],
    ['a reason of its own', chunks({ ...rollback, reason: '<b>' })],
    ['counts that do not add up', chunks(done([{ ...counts, accepted: 4 }]))],
    ['counts that are none', chunks(done(counts))],
    ['tokens of no run', { ...committed, run: 'a' }],
    ['times that are none', calibrated([{ tokens: 4, ms: Number.NaN }])],
    ['time that runs backwards', calibrated([{ tokens: 4, ms: -1 }])],
  ])('is refused: %s', (_, message) => {
    expect(checkMessage(message)).toBeUndefined()
  })
})
