import type { Dice } from './dice.ts'
import type { Plan } from './plan.ts'
import { MODELS } from './script.ts'

/** One client, at one peer. */
export interface RequestPlan {
  number: number
  at: number
  /** The peer that is asked. */
  peer: number
  model: string
  prompt: string
  seed: number
  maxTokens: number | undefined
  choices: number
  /** The client leaves after so many milliseconds. */
  leaveAfterMs: number | undefined
  /** It says so; otherwise it just does not come back for more. */
  saysBye: boolean
  /** How long it takes over each chunk. */
  readMs: number
  /** Of the caller: nobody who asks for more. */
  maxPrice: { input: number; output: number } | undefined
  /** No fault is on any more: it must succeed. */
  isCalm: boolean
}

const PER_PEER_AND_MINUTE = 1
const CALM_REQUESTS = 40

export function planRequests(
  dice: Dice,
  { peers, times }: Pick<Plan, 'peers' | 'times'>,
): RequestPlan[] {
  const { stormFrom, calmFrom, healed, restFrom } = times
  const minutes = (calmFrom - stormFrom) / 60_000
  const stormy = Math.max(1, Math.round(peers.length * minutes * PER_PEER_AND_MINUTE))
  const drawn = Array.from({ length: stormy }, () => ({
    at: dice.between(stormFrom, calmFrom),
    isCalm: false,
  }))
  const calm = Array.from({ length: CALM_REQUESTS }, () => ({
    at: dice.between(healed, restFrom),
    isCalm: true,
  }))
  return [...drawn, ...calm]
    .sort((a, b) => a.at - b.at)
    .map(({ at, isCalm }, number) => ({ ...planRequest(dice, peers.length), number, at, isCalm }))
}

export function planRequest(
  dice: Dice,
  peers: number,
): Omit<RequestPlan, 'number' | 'at' | 'isCalm'> {
  const words = Array.from({ length: dice.between(1, 60) }, () => `w${dice.below(50)}`)
  return {
    peer: dice.below(peers),
    model: dice.pick(MODELS),
    prompt: words.join(' '),
    seed: dice.below(1_000_000),
    maxTokens: dice.chance(0.5) ? dice.between(1, 120) : undefined,
    choices: dice.chance(0.15) ? dice.between(2, 3) : 1,
    leaveAfterMs: dice.chance(0.2) ? dice.between(1, 2_500) : undefined,
    saysBye: dice.chance(0.5),
    readMs: dice.chance(0.1) ? dice.between(1, 200) : 0,
    maxPrice: dice.chance(0.1) ? { input: 1_500, output: 4_000 } : undefined,
  }
}
