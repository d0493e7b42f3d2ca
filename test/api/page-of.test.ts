import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ownKey, ownRange } from '../../src/accounts/own-rows.ts'
import { type PageJson, type PageQuery, pageOf } from '../../src/api/page-of.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { jsonValue, textKey } from '../../src/storage/codec.ts'
import { openMemoryStore } from '../../src/storage/store.ts'

const rows = { key: textKey, value: jsonValue((value) => value as { id: string }) }

async function listed(ids: readonly string[]) {
  const store = await openMemoryStore({ logger: silentLogger })
  const table = store.table('things', rows)
  for (const account of ['ann', 'ann-b', 'ann.b', 'ann0', 'bob']) {
    const own = account === 'ann' ? ids : ['t_00', 't_50', 't_99']
    for (const id of own) await table.put(ownKey(account, id), { id })
  }
  return (query: PageQuery): Promise<PageJson<{ id: string }>> =>
    pageOf(
      query,
      async function* (range) {
        for await (const [, row] of table.range(ownRange('ann', range))) yield row
      },
      ({ id }) => ({ id }),
    )
}

const idsOf = (page: PageJson<{ id: string }>) => page.data.map(({ id }) => id)

describe('a page of a list', () => {
  it('begins with the newest, of this account alone', async () => {
    const list = await listed(['t_01', 't_02', 't_03'])
    expect(await list({ limit: '2' })).toEqual({
      object: 'list',
      data: [{ id: 't_03' }, { id: 't_02' }],
      first_id: 't_03',
      last_id: 't_02',
      has_more: true,
    })
  })

  it('may be empty', async () => {
    const list = await listed([])
    const empty = { object: 'list', data: [], first_id: null, last_id: null, has_more: false }
    expect(await list({})).toEqual(empty)
  })

  it.each(['0', '101', '-1', '1.5', '', 'ten', '1e1'])('refuses a limit of %j', async (limit) => {
    const list = await listed([])
    await expect(list({ limit })).rejects.toMatchObject({ code: 'invalid_value', param: 'limit' })
  })

  it.each(['', '../x', 'a/b', 'é', 'x'.repeat(65)])('refuses the cursor %j', async (after) => {
    const list = await listed([])
    await expect(list({ after })).rejects.toMatchObject({ param: 'after' })
    await expect(list({ before: after })).rejects.toMatchObject({ param: 'before' })
  })

  it('page by page is the whole list, in both orders and from both ends', async () => {
    const number = fc.integer({ min: 0, max: 99 })
    const orders = fc.constantFrom('asc' as const, 'desc' as const)
    const property = fc.asyncProperty(
      fc.uniqueArray(number, { maxLength: 25 }),
      fc.integer({ min: 1, max: 10 }),
      orders,
      async (numbers, limit, order) => {
        const ids = numbers.map((n) => `t_${String(n).padStart(2, '0')}`).sort()
        if (order === 'desc') ids.reverse()
        const list = await listed(ids)
        const query = { limit: String(limit), order }
        const onwards: string[] = []
        for (let page = await list(query); ; ) {
          onwards.push(...idsOf(page))
          if (!page.has_more) break
          page = await list({ ...query, after: page.last_id ?? '' })
        }
        expect(onwards).toEqual(ids)
        const backwards: string[] = []
        const end = order === 'desc' ? 't_' : 't_zz'
        for (let page = await list({ ...query, before: end }); ; ) {
          backwards.unshift(...idsOf(page))
          if (!page.has_more) break
          page = await list({ ...query, before: page.first_id ?? '' })
        }
        expect(backwards).toEqual(ids)
      },
    )
    await fc.assert(property, { numRuns: 50 })
  })

  it('between two cursors begins at the first', async () => {
    const list = await listed(['t_01', 't_02', 't_03', 't_04', 't_05'])
    const page = await list({ after: 't_05', before: 't_01', limit: '2' })
    expect([idsOf(page), page.has_more]).toEqual([['t_04', 't_03'], true])
  })
})
