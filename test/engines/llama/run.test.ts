import { expect, it } from 'vitest'
import { Run } from '../../../src/engines/llama/run.ts'
import type { Tokens } from '../../../src/wire/chunk.ts'
import type { Job } from '../../../src/wire/job.ts'

const job: Job = {
  id: 'job_1',
  model: 'm',
  work: { kind: 'embedding', inputs: ['a'] },
  cacheScope: 'acct_1',
}

/** Of an answer whose tokens came in these portions, at these times. */
function rateOf(...portions: [count: number, at: number][]): number | undefined {
  const run = new Run(1, job, 8)
  for (const [count, at] of portions) {
    const chunk: Tokens = {
      type: 'tokens',
      choice: 0,
      index: 0,
      ids: Array(count).fill(1),
      text: '',
    }
    run.count(chunk, at)
  }
  return run.tokensPerSecond()
}

it('is the speed of decoding, without the prompt', () => {
  expect(rateOf([1, 5_000], [20, 6_000], [20, 7_000])).toBe(20)
})

it.each([
  ['an answer of one portion', [[1, 5_000]]],
  [
    'a short answer that came in one go',
    [
      [1, 5_000],
      [5, 5_000.127],
    ],
  ],
  [
    'a short answer',
    [
      [1, 5_000],
      [15, 6_000],
    ],
  ],
  [
    'a longer one that came in one go',
    [
      [1, 5_000],
      [40, 5_001],
    ],
  ],
] as [string, [number, number][]][])('is not told by %s', (_what, portions) => {
  expect(rateOf(...portions)).toBeUndefined()
})
