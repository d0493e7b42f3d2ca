import type { Batch } from '../storage/batch.ts'

export const accountEventTypes = [
  'chat.completed',
  'generation.succeeded',
  'generation.failed',
  'key.created',
  'key.rotated',
  'key.revoked',
  'credits.low',
] as const

export type AccountEventType = (typeof accountEventTypes)[number]

/** Something that happened in an account, and that its holder may want to be told of. */
export interface AccountEvent {
  account: string
  type: AccountEventType
  /** What it happened to, in the JSON that its own endpoint shows: never a secret, `null` over `undefined`. */
  data: { object: unknown }
}

/**
 * Says what happened; whoever listens tells the account's holder. It never throws and never waits.
 * With `rows`, the batch that makes it happen, the event is exactly as durable as that: it is sent
 * when the batch is committed, after a crash too, and is lost only with it. Give the batch to the
 * store afterwards. Without, it is kept as soon as the disk allows.
 */
export type Emit = (event: AccountEvent, rows?: Batch) => void

export const noEvents: Emit = () => {}
