import { expect } from 'vitest'
import { audit } from '../../src/accounts/ledger/audit.ts'
import { Ledger } from '../../src/accounts/ledger/ledger.ts'
import type { LedgerEntry } from '../../src/accounts/ledger/ledger-rows.ts'
import { metered, type PaidGenerate } from '../../src/accounts/payment.ts'
import { Usage } from '../../src/accounts/usage/usage.ts'
import { noUsage, type UsageCounts } from '../../src/accounts/usage/usage-rows.ts'
import type { Clock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Identity } from '../../src/identity/identity.ts'
import type { FeedStore } from '../../src/receipts/feeds/feed-store.ts'
import type { RequestIndex } from '../../src/receipts/requests.ts'
import { RoutedLog } from '../../src/receipts/routed.ts'
import type { Store } from '../../src/storage/store.ts'
import type { Origin } from '../../src/wire/job.ts'

export interface TillStage {
  clock: Clock
  identity: Pick<Identity, 'publicKey'>
  proof: { store: Store; feeds: FeedStore; requests: RequestIndex }
  coordinator: { generate: PaidGenerate }
}

const { signal } = new AbortController()
let asked = 0

/** Whose request it is: Alice's, through a key of hers. */
export const alices = (more: Partial<Origin> = {}): Origin => ({
  requestId: `req_${++asked}`,
  account: 'alice',
  endpoint: '/v1/x',
  keyId: 'key_alice',
  ...more,
})

/** Has Alice pay for what a coordinator sees through. */
export async function tillStage({ clock, identity, proof, coordinator }: TillStage, granted = 0) {
  const { store, feeds, requests } = proof
  const ledger = await Ledger.open({ store, clock })
  const usage = new Usage({ store, clock, logger: silentLogger })
  if (granted > 0) await ledger.grant({ account: 'alice', amount: granted })
  return {
    ledger,
    usage,
    generate: metered(coordinator.generate, { ledger, usage }),
    credits: () => ledger.credits({ account: 'alice' }),

    async charges(account = 'alice'): Promise<LedgerEntry[]> {
      const charges: LedgerEntry[] = []
      for await (const entry of ledger.entries(account)) {
        if (entry.kind === 'charge') charges.push(entry)
      }
      return charges
    },

    /** Everything adds up, and every charge is what the log says. */
    async audited() {
      const log = new RoutedLog({ feeds, requests }, { author: identity.publicKey })
      const report = await audit({ tables: ledger.tables, log }, { signal })
      expect(report).toMatchObject({
        problems: [],
        sum: 0,
        charges: { withoutEntry: 0, missing: 0 },
      })
      return report
    },

    async used(account = 'alice'): Promise<UsageCounts> {
      const sum = noUsage()
      const days = { from: '0000', to: '9999' }
      for await (const [, counts] of usage.between(account, days, { signal })) {
        for (const [name, count] of Object.entries(counts)) sum[name as keyof UsageCounts] += count
      }
      return sum
    },
  }
}
