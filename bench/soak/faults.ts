import { setTimeout as sleep } from 'node:timers/promises'
import type { Stage } from '../../testnet/index.ts'
import type { Draw } from './mix.ts'

/** How long it is left alone, and how long a fault lasts. */
const WELL_MS = 15_000
const FAULT_MS = 10_000

const faults = ['killed', 'stopped', 'frozen'] as const

export type Faults = Record<(typeof faults)[number], number>

/** Has one peer go and come back, in every manner, until told to stop; then it is back. */
export async function harm(
  stage: Stage,
  name: string,
  { draw, stop }: { draw: Draw; stop: AbortSignal },
): Promise<Faults> {
  const counts: Faults = { killed: 0, stopped: 0, frozen: 0 }
  while (await passes(1 + draw(WELL_MS), stop)) {
    const fault = faults[draw(faults.length)] ?? 'killed'
    counts[fault]++
    if (fault === 'killed') await stage.peer(name).kill()
    else if (fault === 'stopped') await stage.peer(name).stop()
    else stage.peer(name).freeze()
    await passes(1 + draw(FAULT_MS), stop)
    if (fault === 'frozen') stage.peer(name).thaw()
    else await stage.start(name)
  }
  return counts
}

/** False where it was cut short. */
const passes = (ms: number, signal: AbortSignal): Promise<boolean> =>
  sleep(ms, true, { signal }).catch(() => false)
