import { jsonValue, textKey } from '../../storage/codec.ts'
import type { TableCodec } from '../../storage/table.ts'
import type { Ban } from './bans.ts'

/** How bans are kept in the database, by peer id. */
export const banRows: TableCodec<string, Ban> = {
  key: textKey,
  value: jsonValue((value) => {
    const { until, count } = value as Partial<Ban>
    if (![until, count].every((number) => Number.isSafeInteger(number) && Number(number) > 0)) {
      throw new TypeError('not a ban')
    }
    return value as Ban
  }),
}
