import fc from 'fast-check'
import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import { promptLookup } from '../../../src/engines/llama/core/speculation/prompt-lookup.ts'
import { VOCABULARY } from './fake-llama.ts'
import { dying, garbage, guessing, knowing, late } from './guessers.ts'
import { type Answer, type Asked, fakeDraftModel, type SetUp } from './speculating.ts'

const allKinds = [
  ...(['perfect', 'most', 'half', 'garbage', 'late', 'dying', 'prompt', 'silent'] as const),
  ...(['model', 'same model', 'small context', 'failing model'] as const),
]
type Kind = (typeof allKinds)[number]
export const anyDrafters = fc.uniqueArray(fc.constantFrom(...allKinds), {
  minLength: 1,
  maxLength: 3,
})

/** Of these kinds; some are right about texts that are known already, some fail after so many calls. */
export const draftersOf = (
  kinds: readonly Kind[],
  texts: () => number[][],
  calls: number,
): Drafter[] => kinds.map((kind) => drafterOf(kind, texts, calls))

function drafterOf(kind: Kind, texts: () => number[][], calls: number): Drafter {
  const right = (share: number) => knowing(kind, texts, { right: share, vocabulary: VOCABULARY })
  switch (kind) {
    case 'perfect':
      return right(1)
    case 'most':
      return right(0.7)
    case 'half':
      return right(0.5)
    case 'garbage':
      return garbage
    case 'late':
      return late(right(0.7), calls % 5)
    case 'dying':
      return dying(right(1), calls)
    case 'prompt':
      return promptLookup
    case 'silent':
      return guessing(kind, () => [])
    case 'model':
      return fakeDraftModel({ wrong: 0.3 })
    case 'same model':
      return fakeDraftModel({})
    case 'small context':
      return fakeDraftModel({ wrong: 0.1, contextLength: 50 })
    case 'failing model':
      return fakeDraftModel({ failAt: calls })
  }
}

export const anySetUp = fc.record({
  slots: fc.integer({ min: 1, max: 5 }),
  window: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
  stepwise: fc.boolean(),
  known: fc.constantFrom<number[]>([], [1, 4, 17]),
  pays: fc.boolean(),
})

export function setUpOf({ pays, ...rest }: { pays: boolean } & SetUp): SetUp {
  return { ...rest, msOf: pays ? (tokens) => 7 + tokens : (tokens) => 8 * tokens }
}

/** Prompts with their answers. */
export const textsOf = (jobs: readonly Asked[], answers: readonly Answer[]) =>
  answers.flatMap(({ choices }, at) =>
    choices.map(({ ids }) => [...(jobs[at]?.prompt ?? []), ...ids]),
  )
