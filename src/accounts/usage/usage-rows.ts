import { jsonValue, textKey } from '../../storage/codec.ts'

/** Of one account, on one day (UTC), through one key, of one model. */
export interface UsageCounts {
  /** Those that failed are among them. */
  requests: number
  failed: number
  inputTokens: number
  cachedTokens: number
  outputTokens: number
  /** Micro-credits. */
  cost: number
}

export interface UsageOf {
  account: string
  /** As in 2026-11-22. */
  day: string
  keyId: string
  model: string
}

export const noUsage = (): UsageCounts => ({
  ...{ requests: 0, failed: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0, cost: 0 },
})

const names = Object.keys(noUsage()) as (keyof UsageCounts)[]

export const usageRows = {
  key: textKey,
  value: jsonValue((value): UsageCounts => {
    const counts = value as Partial<UsageCounts>
    if (!names.every((name) => Number.isSafeInteger(counts[name]))) throw new TypeError('no usage')
    return value as UsageCounts
  }),
}

/** Neither has a zero byte in it; days are ordered as they came. */
export const usageKey = ({ account, day, keyId, model }: UsageOf): string =>
  `${account}\0${day}\0${keyId}\0${model}`

export function usageOf(key: string): UsageOf {
  const [account = '', day = '', keyId = '', model = ''] = key.split('\0')
  return { account, day, keyId, model }
}

/** Tells keys of the days from one to another, both included. */
export const daysOf = (account: string, from: string, to: string) => ({
  gte: `${account}\0${from}`,
  lt: `${account}\0${to}\u0001`,
})

export const DAY_MS = 24 * 3_600_000

/** Each request asks, nearly always for the same: to write a date down takes longer than to know it. */
let lastDay = { number: Number.NaN, text: '' }

export function dayOf(ms: number): string {
  const number = Math.floor(ms / DAY_MS)
  if (number !== lastDay.number) {
    lastDay = { number, text: new Date(ms).toISOString().slice(0, 10) }
  }
  return lastDay.text
}
