import { expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { RequestIndex, requestHash } from '../../src/receipts/requests.ts'
import { openMemoryStore } from '../../src/storage/store.ts'
import { Cid } from '../../src/wire/cid.ts'

it('knows whose request it was and which entry tells of it', async () => {
  const store = await openMemoryStore({ logger: silentLogger })
  const requests = new RequestIndex({ store })
  const requested = { account: 'ünïcode', cid: new Cid('entry', new Uint8Array(32).fill(7)) }
  const rows = store.batch()
  requests.put(rows, 'req_1', requested)
  expect(await requests.find(requestHash('req_1'))).toBeUndefined()
  await store.commit(rows)
  expect(await requests.find(requestHash('req_1'))).toEqual(requested)
  expect(await requests.find(requestHash('req_2'))).toBeUndefined()
  await store.close()
})
