import { backoffMs } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { ResponseHead } from './operation.ts'

/** No peer asks for more; whoever stands in front of one may. */
const WAIT_MS_MAX = 60_000
const FIRST_WAIT_MS = 500
const LAST_WAIT_MS = 8_000
/** Of the wait, so that those who failed together do not come back together. */
const JITTER_PERCENT = 25

/** What a refusal says of another try. Who does not know whether its work was done says nothing. */
export function saysRetry({ status, headers }: ResponseHead): boolean | undefined {
  const said = headers.get('x-should-retry')
  if (said === 'true') return true
  if (said === 'false') return false
  return status === 408 || status === 429 || status >= 500 ? undefined : false
}

/** `Retry-After` in its three spellings. */
export function retryAfterMs({ headers }: ResponseHead, clock: Clock): number | undefined {
  const ms = toMs(headers.get('retry-after-ms'), 1)
  const text = headers.get('retry-after')
  const seconds = ms ?? toMs(text, 1000)
  if (seconds !== undefined) return seconds
  const at = text === null ? Number.NaN : Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock.now())
}

function toMs(text: string | null, unit: number): number | undefined {
  return text !== null && /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) * unit : undefined
}

/** Before the try that comes after `before` of them; undefined for longer than anybody waits. */
export function waitMs(
  before: number,
  askedMs: number | undefined,
  random: Random,
): number | undefined {
  if (askedMs !== undefined) return askedMs <= WAIT_MS_MAX ? askedMs : undefined
  const ms = backoffMs(before, FIRST_WAIT_MS, LAST_WAIT_MS)
  return ms * (1 - random.below(JITTER_PERCENT + 1) / 100)
}
