import { median } from '../statistics.ts'
import { bestBound, bestFarBound, type GuessCost, msBetween, rightOf } from './bound.ts'
import { type BatchTime, Engine } from './engine.ts'
import type { Pair } from './pair.ts'
import { promptOf, TEMPERATURE } from './remote.ts'

/** Always so many guesses, where only their acceptance is asked for. */
const WINDOW = 4
/** A single measurement is off by a fifth now and then. */
const TIMES = 3

export interface FarBounds {
  /** How often a guess is right whose predecessors are. */
  right: number
  near: number
  /** By how far away the drafter is. */
  far: { delayMs: number; most: number }[]
}

/** What is the most that guesses give, by what they cost and how often they are right. */
export function boundsOf(cost: GuessCost, right: number, delaysMs: readonly number[]): FarBounds {
  const far = delaysMs.map((delayMs) => ({ delayMs, most: bestFarBound(cost, right, delayMs) }))
  return { right, near: bestBound(cost, right), far }
}

/** Of guesses of whole answers like those of the peers. */
export async function rightOfPair(
  pair: Pair,
  { rounds, tokens }: { rounds: number; tokens: number },
): Promise<number> {
  const engine = await Engine.start({ ...pair, window: WINDOW })
  let [drafted, accepted] = [0, 0]
  for (let round = 1; round <= rounds; round++) {
    const { drafting } = await engine.answer(promptOf(round), tokens, false, TEMPERATURE)
    const model = drafting.find(({ drafter }) => drafter !== 'prompt')
    drafted += model?.drafted ?? 0
    accepted += model?.accepted ?? 0
  }
  await engine.stop()
  return rightOf(accepted / drafted, WINDOW)
}

/** Some measurements, each of engines that were started for it. */
export async function costsOf({ model, draft, vocabulary }: Pair): Promise<GuessCost[]> {
  const costs: GuessCost[] = []
  for (let time = 0; time < TIMES; time++) {
    const draftMs = msBetween(await curveOf(draft, vocabulary), 1)
    costs.push({ curve: await curveOf(model, vocabulary), draftMs })
  }
  return costs
}

async function curveOf(model: string, vocabulary: number): Promise<BatchTime[]> {
  const engine = await Engine.start({ model, vocabulary, window: 0 })
  const curve = await engine.calibrate()
  await engine.stop()
  return curve
}

/** The medians of several. */
export function costOf(costs: readonly GuessCost[]): GuessCost {
  const sizes = costs[0]?.curve.map(({ tokens }) => tokens) ?? []
  const msOf = (tokens: number) => median(costs.map(({ curve }) => msBetween(curve, tokens)))
  return {
    curve: sizes.map((tokens) => ({ tokens, ms: msOf(tokens) })),
    draftMs: median(costs.map(({ draftMs }) => draftMs)),
  }
}
