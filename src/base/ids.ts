import { ulid } from 'ulid'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

export type IdKind = 'req' | 'job' | 'key' | 'acct'

/** `req_` + a lower-case ULID: sorts by time, and needs no central counter. */
export function newId(kind: IdKind, clock: Clock, random: Random): string {
  return `${kind}_${ulid(clock.now(), () => random.below(2 ** 32) / 2 ** 32).toLowerCase()}`
}
