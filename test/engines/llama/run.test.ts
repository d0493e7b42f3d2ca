import { expect, it } from 'vitest'
import { Run } from '../../../src/engines/llama/run.ts'
import type { Chunk, Tokens } from '../../../src/wire/chunk.ts'
import type { Job } from '../../../src/wire/job.ts'
import { greedy } from './core-harness.ts'

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

const watched: Job = {
  ...job,
  watched: true,
  resume: [{ choice: 0, text: 'ab', ids: [1, 2] }],
  work: {
    kind: 'completion',
    prompts: ['a'],
    sampling: { ...greedy, choices: 1 },
  },
}

async function heardOf(run: Run): Promise<Chunk[]> {
  run.channel.close()
  const chunks: Chunk[] = []
  for await (const chunk of run.channel) chunks.push(chunk)
  return chunks
}

it('tells who watches that its drafter is lost, behind what is there', async () => {
  const run = new Run(1, watched, 8)
  run.drafterLost()
  run.count({ type: 'tokens', choice: 0, index: 2, ids: [3, 4, 5], text: 'cde' }, 0)
  run.drafterLost()
  expect(await heardOf(run)).toEqual([
    { type: 'rollback', choice: 0, from: 5, reason: 'node_lost' },
  ])
  const alone = new Run(1, { ...watched, watched: false }, 8)
  alone.count({ type: 'tokens', choice: 0, index: 2, ids: [3], text: 'c' }, 0)
  alone.drafterLost()
  expect(await heardOf(alone)).toEqual([])
})

it('keeps no guesses for a reader that would see them too late, and all else', () => {
  const run = new Run(1, watched, 1_000)
  const ghost: Chunk = {
    ...{ type: 'provisional', choice: 0, index: 2, ids: [3], text: 'c', drafter: 'model' },
  }
  const kept = Array.from({ length: 100 }, () => {
    const isKept = run.count(ghost, 0)
    if (isKept) run.channel.push(ghost)
    return isKept
  })
  expect(kept.filter(Boolean)).toHaveLength(64)
  expect(run.delivered).toBe(false)
  expect(run.count({ type: 'tokens', choice: 0, index: 2, ids: [3], text: 'c' }, 0)).toBe(true)
})
