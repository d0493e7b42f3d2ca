import { setTimeout as sleep } from 'node:timers/promises'
import { Forked } from '../forked.ts'
import type { Table } from '../results.ts'
import { median, quantile, rounded } from '../statistics.ts'
import type { Attacked, AttackOrder } from './attacker.ts'
import { MODEL } from './engine.ts'
import { type Flood, floods } from './floods.ts'
import { LEAD_MS } from './order.ts'
import type { Stage } from './stage.ts'

const MAX_TOKENS = 8

interface Answers {
  p50: number
  p99: number
  count: number
}

export interface FloodRow {
  round: number
  flood: Flood
  /** While nothing else goes on. */
  quiet: Answers
  flooded: Answers
  /** While another process takes as much of the processor as the flood's did. */
  burnt: Answers
  attacked: Attacked
  /** Of one core. */
  providerShare: number
}

/** Whoever asks is served while strangers flood the provider: the bench fails when an answer does. */
export async function measureFloods(
  stage: Stage,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<FloodRow[]> {
  const rows: FloodRow[] = []
  for (let round = 0; round < rounds; round++) {
    const quiet = await answers(stage, seconds)
    for (const flood of floods) {
      const order: AttackOrder = { type: 'flood', flood, address: stage.address }
      const { attacked, ...flooded } = await during(stage, order, seconds)
      const { share } = attacked
      const burnt = await during(stage, { type: 'burn', share }, seconds)
      rows.push({ round, flood, quiet, attacked, ...flooded, burnt: burnt.flooded })
    }
  }
  return rows
}

async function during(stage: Stage, order: AttackOrder, seconds: number) {
  const attacker = new Forked(new URL('./attacker.ts', import.meta.url))
  try {
    await attacker.hear()
    await attacker.ask(order)
    await sleep(LEAD_MS)
    const [before, beganAt] = [await stage.spent(), performance.now()]
    const flooded = await answers(stage, seconds)
    const [after, endedAt] = [await stage.spent(), performance.now()]
    const providerShare = (after.provider - before.provider) / 1000 / (endedAt - beganAt)
    const attacked = await attacker.ask<Attacked>({ type: 'stop' } satisfies AttackOrder)
    return { flooded, attacked, providerShare }
  } finally {
    await attacker.stop()
  }
}

async function answers(stage: Stage, seconds: number): Promise<Answers> {
  const times = await stage.wholeAnswers(MODEL, { seconds, maxTokens: MAX_TOKENS })
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), count: times.length }
}

export function floodTable(rows: readonly FloodRow[]): Table {
  return {
    title: 'Answers through the gateway while strangers flood its provider',
    columns: [
      ...['flood', 'p99 to that with as busy a machine', 'p99 to that of a quiet one'],
      ...['flooded p50 ms', 'p99', 'as busy p50', 'p99', 'quiet p50', 'p99'],
      ...['begun a second', 'cores of the flood', 'cores of the provider'],
    ],
    rows: floods.map((flood) => {
      const of = (figure: (row: FloodRow) => number) =>
        median(rows.filter((row) => row.flood === flood).map(figure))
      const p99 = (which: 'quiet' | 'flooded' | 'burnt') => of((row) => row[which].p99)
      const shown = (['flooded', 'burnt', 'quiet'] as const).flatMap((which) => [
        of((row) => row[which].p50),
        p99(which),
      ])
      return [
        flood,
        ...[
          p99('flooded') / p99('burnt'),
          p99('flooded') / p99('quiet'),
          ...shown,
          of(({ attacked }) => attacked.perSecond),
          of(({ attacked }) => attacked.share),
          of(({ providerShare }) => providerShare),
        ].map(rounded),
      ]
    }),
  }
}
