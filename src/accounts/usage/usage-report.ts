import { noUsage, type UsageCounts, type UsageOf } from './usage-rows.ts'

/** What an account used, in all and by each of the three. */
export interface UsageReport {
  total: UsageCounts
  byModel: Map<string, UsageCounts>
  byDay: Map<string, UsageCounts>
  byKey: Map<string, UsageCounts>
}

/** Adds up what of it is of this model, if one is named. */
export async function usageReport(
  rows: AsyncIterable<[UsageOf, UsageCounts]>,
  { model }: { model?: string | undefined } = {},
): Promise<UsageReport> {
  const report = { total: noUsage(), byModel: new Map(), byDay: new Map(), byKey: new Map() }
  for await (const [of, counts] of rows) {
    if (model !== undefined && of.model !== model) continue
    add(report.total, counts)
    add(countsOf(report.byModel, of.model), counts)
    add(countsOf(report.byDay, of.day), counts)
    add(countsOf(report.byKey, of.keyId), counts)
  }
  return report
}

function countsOf(all: Map<string, UsageCounts>, name: string): UsageCounts {
  const known = all.get(name)
  if (known !== undefined) return known
  const counts = noUsage()
  all.set(name, counts)
  return counts
}

function add(sum: UsageCounts, counts: UsageCounts): void {
  sum.requests += counts.requests
  sum.failed += counts.failed
  sum.inputTokens += counts.inputTokens
  sum.cachedTokens += counts.cachedTokens
  sum.outputTokens += counts.outputTokens
  sum.cost += counts.cost
}
