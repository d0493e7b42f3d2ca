import type { AuditedLog } from '../../../src/accounts/ledger/audit.ts'
import { jsonValue, textKey } from '../../../src/storage/codec.ts'
import type { Store } from '../../../src/storage/store.ts'

interface Routed {
  jobId: string
  amount: number
}

/** One in which nothing is. */
export const emptyLog: AuditedLog = {
  routed: async () => undefined,
  async *answered() {},
}

/** A log that is a table of the store, so that what is in it is written with what it tells of. */
export function audited(store: Pick<Store, 'table'>) {
  const table = store.table('test-log', {
    key: textKey,
    value: jsonValue((value) => value as Routed),
  })
  const log: AuditedLog = {
    routed: (routing) => table.get(routing),
    async *answered(options) {
      for await (const [routing] of table.range(options)) yield routing
    },
  }
  return { table, log }
}
