import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import {
  type BalanceRow,
  balanceRows,
  entryRows,
  jobRows,
  type LedgerEntry,
} from './ledger-rows.ts'

export interface LedgerTables {
  balances: Table<string, BalanceRow>
  entries: Table<string, LedgerEntry>
  jobs: Table<string, string>
}

export const ledgerTables = (store: Pick<Store, 'table'>): LedgerTables => ({
  balances: store.table('ledger-balances', balanceRows),
  entries: store.table('ledger-entries', entryRows),
  jobs: store.table('ledger-jobs', jobRows),
})
