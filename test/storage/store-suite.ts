import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytesKey, bytesValue, integerKey, jsonValue, textKey } from '../../src/storage/codec.ts'
import type { Store } from '../../src/storage/store.ts'
import type { Range } from '../../src/storage/table.ts'
import { allRows } from './rows.ts'

/** A place that stores can be opened on, one after the other. */
export interface StorePlace {
  open(): Promise<Store>
}

const anyJson = jsonValue((value): unknown => value)
const bytes = { key: bytesKey, value: bytesValue }

/** What every store does, whatever it stands on. `makePlace` is called inside a running test. */
export function storeSuite(name: string, makePlace: () => Promise<StorePlace>): void {
  async function openNew(): Promise<Store> {
    const store = await (await makePlace()).open()
    onTestFinished(() => store.close())
    return store
  }

  describe(`${name}: rows`, () => {
    it('come back as they were put, or undefined', async () => {
      const store = await openNew()
      const table = store.table('things', { key: textKey, value: anyJson })
      await store.commit(store.batch().put(table, 'a', { n: 1 }).put(table, 'ü', [null, 'x']))
      await table.put('cached', true)
      expect(await table.get('a')).toEqual({ n: 1 })
      expect(await table.getMany(['ü', 'none', 'cached'])).toEqual([[null, 'x'], undefined, true])
      await table.del('cached')
      await store.commit(store.batch().del(table, 'a').del(table, 'never there'))
      expect(await allRows(table)).toEqual([['ü', [null, 'x']]])
    })

    it('belong to the reader: changing them changes nothing stored', async () => {
      const store = await openNew()
      const table = store.table('bytes', bytes)
      const key = Uint8Array.of(1)
      const value = Uint8Array.of(7, 7)
      const batch = store.batch().put(table, key, value)
      key[0] = 9
      value[0] = 9
      await store.commit(batch)
      const read = await table.get(Uint8Array.of(1))
      expect(read).toEqual(Uint8Array.of(7, 7))
      read?.fill(0)
      expect(await table.get(Uint8Array.of(1))).toEqual(Uint8Array.of(7, 7))
    })

    it('of one table are never seen in another, whatever the names and keys', async () => {
      const store = await openNew()
      const names = ['a', 'aa', 'ab', 'b', 'a-', 'a0', 'z'.repeat(32)]
      const tables = names.map((tableName) => store.table(tableName, bytes))
      const keys = [[], [0], [0x61], [0xff], [0xff, 0xff], [1, 0x61]].map((k) => Uint8Array.from(k))
      const batch = store.batch()
      for (const [index, table] of tables.entries()) {
        for (const key of keys) batch.put(table, key, Uint8Array.of(index))
      }
      await store.commit(batch)
      for (const [index, table] of tables.entries()) {
        const rows = await allRows(table)
        expect(rows).toHaveLength(keys.length)
        expect(rows.every(([, value]) => value[0] === index)).toBe(true)
      }
    })

    it('that do not decode are a typed error with table and key, and the others are readable', async () => {
      const store = await openNew()
      const raw = store.table('rows', { key: textKey, value: bytesValue })
      const strict = store.table('rows', {
        key: textKey,
        value: jsonValue((value) => {
          if (typeof value !== 'number') throw new TypeError('not a number')
          return value
        }),
      })
      await raw.put('good', new TextEncoder().encode('1'))
      await raw.put('bad-json', new TextEncoder().encode('{'))
      await raw.put('bad-type', new TextEncoder().encode('"1"'))
      await raw.put('bad utf8', Uint8Array.of(0xff))
      expect(await strict.get('good')).toBe(1)
      for (const key of ['bad-json', 'bad-type']) {
        const failure = { code: 'storage_row_invalid', table: 'rows', key }
        await expect(strict.get(key)).rejects.toMatchObject(failure)
        await expect(strict.getMany(['good', key])).rejects.toMatchObject(failure)
        await expect(allRows(strict, { gte: key })).rejects.toMatchObject({ table: 'rows' })
      }
      // A key with a space is shown in hex.
      await expect(strict.get('bad utf8')).rejects.toMatchObject({ key: '0x6261642075746638' })
    })

    it('and keys above the limits are refused', async () => {
      const store = await openNew()
      const table = store.table('bytes', bytes)
      const limit = { code: 'storage_limit' }
      await expect(table.put(new Uint8Array(1025), new Uint8Array(0))).rejects.toMatchObject(limit)
      const long = new Uint8Array(16 * 1024 * 1024 + 1)
      expect(() => store.batch().put(table, new Uint8Array(1), long)).toThrow(/above the limit/)
    })

    it('take only names that are safe', async () => {
      const store = await openNew()
      for (const bad of ['', 'A', 'a b', 'a\0', '1a', 'a'.repeat(33), 'ä']) {
        expect(() => store.table(bad, bytes), bad).toThrow(/bad table name/)
      }
    })
  })

  describe(`${name}: ranges`, () => {
    it('of numbers are in numeric order, with every kind of bound', async () => {
      const store = await openNew()
      const table = store.table('numbers', { key: integerKey, value: anyJson })
      const batch = store.batch()
      for (const n of [0, 1, 2, 9, 10, 255, 256, 65_536, Number.MAX_SAFE_INTEGER]) {
        batch.put(table, n, n)
      }
      await store.commit(batch)
      const keys = async (range?: Range<number>) =>
        (await allRows(table, range)).map(([key]) => key)
      expect(await keys()).toEqual([0, 1, 2, 9, 10, 255, 256, 65_536, Number.MAX_SAFE_INTEGER])
      expect(await keys({ gt: 2, lte: 255 })).toEqual([9, 10, 255])
      expect(await keys({ gte: 2, lt: 255 })).toEqual([2, 9, 10])
      expect(await keys({ lt: 256, reverse: true, limit: 2 })).toEqual([255, 10])
      expect(await keys({ limit: 0 })).toEqual([])
      expect(await keys({ gt: 10, lt: 10 })).toEqual([])
      expect(await keys({ gte: 300, lte: 5 })).toEqual([])
    })

    it('show the rows as they were at the start, and may be left early', async () => {
      const store = await openNew()
      const table = store.table('numbers', { key: integerKey, value: anyJson })
      const batch = store.batch()
      for (let n = 0; n < 1000; n++) batch.put(table, n, n)
      await store.commit(batch)
      const seen: number[] = []
      for await (const [key] of table.range()) {
        if (seen.length === 0) {
          await table.put(5000, 1)
          await table.del(500)
        }
        seen.push(key)
      }
      expect(seen).toEqual(Array.from({ length: 1000 }, (_, n) => n))
      for await (const [key] of table.range()) if (key === 3) break
      expect(await table.get(500)).toBeUndefined()
    })

    it('end with the signal’s reason', async () => {
      const store = await openNew()
      const table = store.table('numbers', { key: integerKey, value: anyJson })
      await store.commit(store.batch().put(table, 1, 1).put(table, 2, 2))
      const stop = new AbortController()
      const read = async () => {
        for await (const _row of table.range({ signal: stop.signal }))
          stop.abort(new Error('enough'))
      }
      // Rows that were already read ahead may still come; what comes after them may not.
      await read().catch((error: Error) => expect(error.message).toBe('enough'))
      await expect(read()).rejects.toThrow('enough')
    })
  })

  describe(`${name}: batches`, () => {
    it('take rows of several tables and of other batches, and the last change of a key wins', async () => {
      const store = await openNew()
      const log = store.table('log', { key: integerKey, value: bytesValue })
      const accounts = store.table('accounts', { key: textKey, value: anyJson })
      const ledger = store.batch().put(accounts, 'a', 1).put(accounts, 'b', 1).del(accounts, 'b')
      const batch = store.batch().put(log, 0, Uint8Array.of(1)).add(ledger).put(accounts, 'a', 2)
      await store.commit(batch)
      expect(await allRows(log)).toEqual([[0, Uint8Array.of(1)]])
      expect(await allRows(accounts)).toEqual([['a', 2]])
    })

    it('written without fsync happen together as well, and before any read that follows', async () => {
      const store = await openNew()
      const log = store.table('log', { key: integerKey, value: bytesValue })
      const index = store.table('index', { key: textKey, value: anyJson })
      const batch = store.batch().put(log, 0, Uint8Array.of(1)).put(index, 'a', 0)
      await store.write(batch)
      expect(await allRows(log)).toEqual([[0, Uint8Array.of(1)]])
      expect(await allRows(index)).toEqual([['a', 0]])
      expect(() => batch.put(index, 'b', 1)).toThrow(/already/)
      await store.close()
      await expect(store.write(store.batch())).rejects.toMatchObject({ code: 'storage_closed' })
    })

    it('say when they are written, what they took over too, and not when they fail', async () => {
      const store = await openNew()
      const table = store.table('numbers', { key: integerKey, value: anyJson })
      const heard: [what: string, seen: Promise<unknown>][] = []
      const batch = (key: number, what: string) => {
        const made = store.batch().put(table, key, what)
        return made.onWritten(() => heard.push([what, table.get(key)]))
      }
      await store.commit(batch(1, 'whole').add(batch(2, 'part')))
      await store.write(batch(3, 'unsynced'))
      const never = batch(4, 'never')
      await store.close()
      await expect(store.commit(never)).rejects.toMatchObject({ code: 'storage_closed' })
      const seen = await Promise.all(heard.map(async ([what, value]) => [what, await value]))
      expect(seen).toEqual(['whole', 'part', 'unsynced'].map((what) => [what, what]))
    })

    it('cannot change any more once committed', async () => {
      const store = await openNew()
      const table = store.table('bytes', bytes)
      const batch = store.batch()
      const committed = store.commit(batch)
      expect(() => batch.put(table, new Uint8Array(1), new Uint8Array(1))).toThrow(/already/)
      await committed
    })

    it('are there after the store was closed in the middle of them', async () => {
      const place = await makePlace()
      const store = await place.open()
      const table = store.table('numbers', { key: integerKey, value: anyJson })
      const commits = Array.from({ length: 50 }, (_, n) =>
        store.commit(store.batch().put(table, n, n)),
      )
      await Promise.all([store.close(), store.close(), ...commits])
      const closed = { code: 'storage_closed' }
      await expect(store.commit(store.batch())).rejects.toMatchObject(closed)
      await expect(table.get(1)).rejects.toMatchObject(closed)
      await expect(table.put(1, 1)).rejects.toMatchObject(closed)
      await expect(allRows(table)).rejects.toMatchObject(closed)

      const again = await place.open()
      onTestFinished(() => again.close())
      const numbers = again.table('numbers', { key: integerKey, value: anyJson })
      expect(await allRows(numbers)).toHaveLength(50)
    })
  })

  describe(`${name}: against a model`, () => {
    it('any sequence of changes, restarts and reads gives what a sorted Map gives', async () => {
      const place = await makePlace()
      const key = fc.uint8Array({ maxLength: 3 })
      const value = fc.uint8Array({ maxLength: 40 })
      const table = fc.constantFrom('t', 'tt')
      const change = fc.record({ table, key, value: fc.option(value) })
      const bound = fc.option(key, { nil: undefined })
      const step = fc.oneof(
        { weight: 4, arbitrary: fc.record({ commit: fc.array(change, { maxLength: 8 }) }) },
        { weight: 3, arbitrary: fc.record({ write: change }) },
        {
          weight: 4,
          arbitrary: fc.record({
            read: table,
            gt: bound,
            gte: bound,
            lt: bound,
            lte: bound,
            reverse: fc.boolean(),
            limit: fc.option(fc.nat(5), { nil: undefined }),
          }),
        },
        { weight: 1, arbitrary: fc.constant('reopen' as const) },
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          let store = await place.open()
          const model = new Map<string, Map<string, Uint8Array>>()
          const rowsOf = (of: string) => {
            const rows = model.get(of) ?? new Map<string, Uint8Array>()
            model.set(of, rows)
            return rows
          }
          const apply = (c: { table: string; key: Uint8Array; value: Uint8Array | null }) => {
            const name = Buffer.from(c.key).toString('hex')
            if (c.value === null) rowsOf(c.table).delete(name)
            else rowsOf(c.table).set(name, c.value)
          }
          try {
            // Start from nothing without the cost of a new database for every run.
            const wipe = store.batch()
            for (const of of ['t', 'tt']) {
              const rows = store.table(of, bytes)
              for await (const [k] of rows.range()) wipe.del(rows, k)
            }
            await store.commit(wipe)
            for (const action of steps) {
              if (action === 'reopen') {
                await store.close()
                store = await place.open()
              } else if ('commit' in action) {
                const batch = store.batch()
                for (const c of action.commit) {
                  if (c.value === null) batch.del(store.table(c.table, bytes), c.key)
                  else batch.put(store.table(c.table, bytes), c.key, c.value)
                  apply(c)
                }
                await store.commit(batch)
              } else if ('write' in action) {
                const { table: of, key: k, value: v } = action.write
                const rows = store.table(of, bytes)
                await (v === null ? rows.del(k) : rows.put(k, v))
                apply(action.write)
              } else {
                const { read, ...range } = action
                const found = await allRows(store.table(read, bytes), definedOnly(range))
                expect(hexRows(found)).toEqual(expectedRows(rowsOf(read), range))
              }
            }
            for (const [of, rows] of model) {
              const found = await allRows(store.table(of, bytes))
              expect(hexRows(found)).toEqual(expectedRows(rows, {}))
            }
          } finally {
            await store.close()
          }
        }),
      )
    })
  })
}

type Bounds = { [B in 'gt' | 'gte' | 'lt' | 'lte']?: Uint8Array | undefined } & {
  reverse?: boolean
  limit?: number | undefined
}

const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')

const hexRows = (rows: [Uint8Array, Uint8Array][]) =>
  rows.map(([key, value]) => [hex(key), hex(value)])

function definedOnly(range: Bounds): Range<Uint8Array> {
  const set = Object.entries(range).filter(([, value]) => value !== undefined)
  return Object.fromEntries(set) as Range<Uint8Array>
}

/** Hex strings of whole bytes compare as the bytes do. */
function expectedRows(rows: Map<string, Uint8Array>, range: Bounds): string[][] {
  const inside = [...rows]
    .filter(([key]) => range.gt === undefined || key > hex(range.gt))
    .filter(([key]) => range.gte === undefined || key >= hex(range.gte))
    .filter(([key]) => range.lt === undefined || key < hex(range.lt))
    .filter(([key]) => range.lte === undefined || key <= hex(range.lte))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  if (range.reverse) inside.reverse()
  return inside.slice(0, range.limit ?? inside.length).map(([key, value]) => [key, hex(value)])
}
