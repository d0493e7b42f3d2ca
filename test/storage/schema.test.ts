import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { integerKey, jsonValue, textKey } from '../../src/storage/codec.ts'
import { currentSchema, type Migration, type Schema } from '../../src/storage/schema.ts'
import { openStoreOn, type Store } from '../../src/storage/store.ts'
import { allRows } from './rows.ts'
import { StubBackend } from './stub-backend.ts'

const base = { version: 1, program: '0.1.0' }
const numberValue = jsonValue((value) => Number(value))
const oldCodec = { key: integerKey, value: numberValue }
const newCodec = { key: textKey, value: numberValue }

/** Format 2 doubles every row, format 3 moves them to a table with other keys. */
const doubled: Migration = {
  to: 2,
  program: '0.2.0',
  async migrate(store, batch) {
    const rows = store.table('rows', oldCodec)
    for await (const [key, value] of rows.range()) batch.put(rows, key, value * 2)
  },
}
const moved: Migration = {
  to: 3,
  program: '0.3.0',
  async migrate(store, batch) {
    const from = store.table('rows', oldCodec)
    const to = store.table('rows-by-name', newCodec)
    for await (const [key, value] of from.range()) batch.put(to, `n${key}`, value).del(from, key)
  },
}
const schemas: Record<number, Schema> = {
  1: { base, migrations: [] },
  2: { base, migrations: [doubled] },
  3: { base, migrations: [doubled, moved] },
}

function open(backend: Backend, version: number): Promise<Store> {
  return openStoreOn(
    backend,
    { logger: silentLogger },
    { schema: schemas[version] ?? currentSchema },
  )
}

async function filled(): Promise<StubBackend> {
  const backend = new StubBackend()
  const store = await open(backend, 1)
  const rows = store.table('rows', oldCodec)
  await store.commit(store.batch().put(rows, 1, 10).put(rows, 2, 20))
  await store.close()
  return backend
}

describe('the format of the database', () => {
  it('a newer one is refused, untouched, and the message names the program to run', async () => {
    const backend = await filled()
    await (await open(backend, 3)).close()
    backend.writes.length = 0
    const refusal = await open(backend, 2).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'storage_newer', found: 3, supported: 2 })
    expect(String(refusal)).toContain('pinaivu-peer 0.3.0 or newer')
    expect(backend.writes).toEqual([])
  })

  it('an older one is brought up, every step in order, from any version', async () => {
    const backend = await filled()
    await (await open(backend, 2)).close()
    const store = await open(backend, 3)
    const rows = await allRows(store.table('rows-by-name', newCodec))
    expect(rows).toEqual([
      ['n1', 20],
      ['n2', 40],
    ])
    expect(await allRows(store.table('rows', oldCodec))).toEqual([])
  })

  it('an interrupted migration has happened entirely or not at all, and ends well later', async () => {
    const step = fc.record({ at: fc.nat(2), rowsWritten: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 4 }), async (interruptions) => {
        const backend = await filled()
        for (const { at, rowsWritten } of interruptions) {
          const failing = failAtWrite(backend, at, rowsWritten)
          await open(failing, 3).then(
            (store) => store.close(),
            (error: unknown) => expect(error).toMatchObject({ code: 'storage_failed' }),
          )
        }
        const store = await open(backend, 3)
        const rows = await allRows(store.table('rows-by-name', newCodec))
        expect(rows).toEqual([
          ['n1', 20],
          ['n2', 40],
        ])
      }),
    )
  })

  it('rows without a format are not ours', async () => {
    const backend = new StubBackend()
    await backend.write([{ type: 'put', key: Uint8Array.of(1), value: Uint8Array.of(1) }])
    await expect(open(backend, 1)).rejects.toMatchObject({ code: 'storage_corrupt' })
  })

  it('a format row that is damaged is a typed error', async () => {
    const backend = await filled()
    const key = Uint8Array.of(4, ...new TextEncoder().encode('metaschema'))
    expect(await backend.get(key)).toBeDefined()
    await backend.write([{ type: 'put', key, value: new TextEncoder().encode('{"version":"2"}') }])
    await expect(open(backend, 1)).rejects.toMatchObject({
      code: 'storage_row_invalid',
      table: 'meta',
      key: 'schema',
    })
  })

  it('the program’s own migrations are in order, without gaps', () => {
    const versions = currentSchema.migrations.map((migration) => migration.to)
    expect(versions).toEqual(versions.map((_, index) => currentSchema.base.version + 1 + index))
  })
})

/** The power goes at the n-th write: with the rows on the disk, or without. */
function failAtWrite(backend: StubBackend, at: number, rowsWritten: boolean): Backend {
  let count = 0
  return {
    get: (key) => backend.get(key),
    getMany: (keys) => backend.getMany(keys),
    range: (range) => backend.range(range),
    close: () => backend.close(),
    write(rows, sync) {
      if (count++ === at) backend.failNext = { error: new Error('power'), rowsWritten }
      return backend.write(rows, sync)
    },
  }
}
