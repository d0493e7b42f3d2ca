import { planOf, type SimOptions } from './plan.ts'

/** Nobody waits for longer; what was found until then is told. */
const SHRINK_MS = 10 * 60_000

/** Whether that story breaks the same rule. */
export type Fails = (options: SimOptions) => Promise<boolean>

/** Looks for a smaller story that fails as well: fewer peers, less time, fewer faults and requests. */
export async function shrink(
  options: SimOptions,
  fails: Fails,
  { limitMs = SHRINK_MS, now = () => performance.now() } = {},
): Promise<SimOptions> {
  const until = now() + limitMs
  const stillFails: Fails = async (smaller) => now() < until && (await fails(smaller))
  let smallest = options
  if (options.onlyFaults === undefined && options.onlyRequests === undefined) {
    smallest = await smallerWorld(options, stillFails)
  }
  const { onlyFaults: _faults, onlyRequests: _requests, ...whole } = smallest
  const all = planOf(whole)
  const onlyFaults = await fewer(smallest.onlyFaults ?? numbersOf(all.faults), (left) =>
    stillFails({ ...smallest, onlyFaults: left }),
  )
  smallest = { ...smallest, onlyFaults }
  const onlyRequests = await fewer(smallest.onlyRequests ?? numbersOf(all.requests), (left) =>
    stillFails({ ...smallest, onlyRequests: left }),
  )
  return { ...smallest, onlyRequests }
}

/** Another story of the same seed, while it fails as well. */
async function smallerWorld(options: SimOptions, fails: Fails): Promise<SimOptions> {
  const { peers, minutes } = options
  for (const smaller of [
    { ...options, peers: Math.ceil(peers / 4) },
    { ...options, peers: Math.ceil(peers / 2) },
    { ...options, minutes: minutes / 4 },
    { ...options, minutes: minutes / 2 },
  ]) {
    const isSmallest = smaller.peers < 4 || smaller.minutes < 0.25
    if (!isSmallest && (await fails(smaller))) return await smallerWorld(smaller, fails)
  }
  return options
}

/** Leaves out what is not needed: first halves of them, then quarters, at last one by one. */
async function fewer(
  all: readonly number[],
  fails: (left: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let left = all
  if (left.length > 0 && (await fails([]))) return []
  for (let size = Math.ceil(left.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < left.length; ) {
      const without = [...left.slice(0, at), ...left.slice(at + size)]
      if (without.length > 0 && (await fails(without))) left = without
      else at += size
    }
  }
  return left
}

const numbersOf = (items: readonly unknown[]): number[] => items.map((_, at) => at)
