import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Store } from '../storage/store.ts'
import type { Emit } from './events.ts'
import type { KeyStore } from './keys.ts'
import { Ledger } from './ledger/ledger.ts'
import type { TillComponents } from './payment.ts'
import { Usage } from './usage/usage.ts'

export interface TillParts {
  store: Store
  clock: Clock
  logger: Logger
  keys: Pick<KeyStore, 'list'>
  emit?: Emit
}

/** What accounts pay with, and what they used, as it was when the peer was last there. */
export async function openTill(parts: TillParts): Promise<TillComponents> {
  const known = new Set(parts.keys.list().map(({ id }) => id))
  const ledger = await Ledger.open(parts, { isKey: (keyId) => known.has(keyId) })
  return { ledger, usage: new Usage(parts) }
}
