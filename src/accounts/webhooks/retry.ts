import type { Random } from '../../base/random.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Before each attempt after the first: 27.6 hours in all. */
const delays = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR]

export const ATTEMPTS_MAX = delays.length + 1

/** Up to a tenth more each: a receiver that comes back is not met by everything at once. */
const JITTER = 0.1
const STEPS = 1_000

/** How long to wait after so many failed attempts; undefined: that was the last. */
export function retryMs(attempts: number, random: Random): number | undefined {
  const delay = delays[attempts - 1]
  if (delay === undefined) return undefined
  return Math.round(delay * (1 + (JITTER * random.below(STEPS + 1)) / STEPS))
}

/** An endpoint that takes nothing for so long is not asked again until its holder says so. */
export const GIVE_UP_MS = 5 * 24 * HOUR
