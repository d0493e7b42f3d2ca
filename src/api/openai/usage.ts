import type { Usage } from '../../accounts/usage/usage.ts'
import { usageLimits } from '../../accounts/usage/usage.ts'
import { type UsageReport, usageReport } from '../../accounts/usage/usage-report.ts'
import { DAY_MS, dayOf, type UsageCounts } from '../../accounts/usage/usage-rows.ts'
import type { Clock } from '../../base/clock.ts'
import { InvalidError } from '../../base/errors.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import { array, closed, type Infer, integer, literal, object, optional, string } from '../schema.ts'
import { type AccountQuery, accountField, accountOf } from '../whose.ts'

const DAYS = 30
const { daysMax } = usageLimits

const querySchema = closed({
  start_date: optional(
    string({
      description: `A day (UTC), 2026-11-22; default: ${DAYS} days, the last one included.`,
    }),
  ),
  end_date: optional(string({ description: 'The last day; default: today.' })),
  days: optional(string({ description: `Instead of a first day: so many days, 1 to ${daysMax}.` })),
  model: optional(string({ description: 'Of this model alone.' })),
  ...accountField,
})

type UsageQuery = Infer<typeof querySchema> & AccountQuery

const counts = {
  requests: integer({ description: 'Those that failed are among them.' }),
  failed_requests: integer(),
  tokens: integer(),
  input_tokens: integer(),
  cached_tokens: integer({ description: 'Of the input: taken from a cache.' }),
  output_tokens: integer(),
  cost: integer({ description: 'Micro-credits.' }),
}

const usageSchema = object({
  object: literal('usage'),
  account: string(),
  start_date: string(),
  end_date: string(),
  total_requests: integer(),
  failed_requests: integer(),
  total_tokens: integer(),
  total_input_tokens: integer(),
  total_cached_tokens: integer(),
  total_output_tokens: integer(),
  total_cost: integer(),
  by_model: array(object({ model: string(), ...counts })),
  by_day: array(object({ date: string(), ...counts })),
  by_key: array(object({ key_id: string(), ...counts })),
  request_id: string(),
})

export interface UsageComponents {
  till: { usage: Pick<Usage, 'between'> }
  clock: Clock
}

/** `GET /usage` */
export function usageRoutes({ till: { usage }, clock }: UsageComponents): RouteModule {
  return (app) => {
    app.get<{ Querystring: UsageQuery }>(
      '/usage',
      {
        schema: {
          summary: 'What an account has used: in all, by model, by day and by key',
          tags: ['OpenAI'],
          querystring: querySchema,
          response: { 200: usageSchema },
        },
        config: { access: 'usage:read' },
      },
      async ({ query, principal, id }, reply): Promise<Infer<typeof usageSchema>> => {
        const account = accountOf(query, principal)
        const days = toDays(query, clock.now())
        const rows = usage.between(account, days, { signal: clientSignal(reply) })
        const report = await usageReport(rows, query)
        return { ...usageJson(report, days), account, request_id: id }
      },
    )
  }
}

function toDays(query: UsageQuery, now: number): { from: string; to: string } {
  const { days: count, start_date: start, end_date: end } = query
  const to = end === undefined ? dayOf(now) : checkedDay('end_date', end)
  if (start !== undefined && count !== undefined) {
    throw new InvalidError('days', "Give 'days' or 'start_date', not both.")
  }
  const last = Date.parse(to)
  const from =
    start === undefined
      ? dayOf(last - (checkedDays(count) - 1) * DAY_MS)
      : checkedDay('start_date', start)
  const length = (last - Date.parse(from)) / DAY_MS + 1
  if (length >= 1 && length <= daysMax) return { from, to }
  const why = length < 1 ? 'is after the last day' : `is more than ${daysMax} days before the last`
  throw new InvalidError('start_date', `Invalid 'start_date': ${from} ${why}.`)
}

function checkedDays(text: string | undefined): number {
  if (text === undefined) return DAYS
  const days = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= daysMax) return days
  throw new InvalidError('days', `Invalid 'days': expected a whole number from 1 to ${daysMax}.`)
}

function checkedDay(name: string, text: string): string {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN
  // February 31st is a day in March to some.
  if (!Number.isNaN(at) && dayOf(at) === text) return text
  throw new InvalidError(name, `Invalid '${name}': expected a day as in 2026-11-22.`)
}

function usageJson(
  { total, byModel, byDay, byKey }: UsageReport,
  days: { from: string; to: string },
) {
  return {
    object: 'usage' as const,
    start_date: days.from,
    end_date: days.to,
    total_requests: total.requests,
    failed_requests: total.failed,
    total_tokens: total.inputTokens + total.outputTokens,
    total_input_tokens: total.inputTokens,
    total_cached_tokens: total.cachedTokens,
    total_output_tokens: total.outputTokens,
    total_cost: total.cost,
    by_model: [...byModel].map(([model, each]) => ({ model, ...countsJson(each) })),
    by_day: [...byDay].map(([date, each]) => ({ date, ...countsJson(each) })),
    by_key: [...byKey].map(([key, each]) => ({ key_id: key, ...countsJson(each) })),
  }
}

const countsJson = (of: UsageCounts) => ({
  requests: of.requests,
  failed_requests: of.failed,
  tokens: of.inputTokens + of.outputTokens,
  input_tokens: of.inputTokens,
  cached_tokens: of.cachedTokens,
  output_tokens: of.outputTokens,
  cost: of.cost,
})
