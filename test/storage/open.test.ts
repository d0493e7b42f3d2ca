import { chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { bytesValue, integerKey } from '../../src/storage/codec.ts'
import { defaultLevel } from '../../src/storage/level-backend.ts'
import { openStore } from '../../src/storage/store.ts'
import { allRows } from './rows.ts'
import { tempDir } from './temp-dir.ts'

const components = { logger: silentLogger }
const codec = { key: integerKey, value: bytesValue }

/** A data folder with enough rows that LevelDB has written table files, not only its log. */
async function filled(): Promise<string> {
  const dir = await tempDir()
  const store = await openStore(dir, components, {
    level: { ...defaultLevel, cacheBytes: 1024 * 1024, writeBufferBytes: 64 * 1024 },
  })
  const table = store.table('rows', codec)
  for (let n = 0; n < 40; n++) {
    const noise = Uint8Array.from({ length: 8192 }, (_, i) => (i * i * (n + 7)) >>> 3)
    await table.put(n, noise)
  }
  await store.close()
  return dir
}

describe('opening', () => {
  it('makes the folder, closed to others', async () => {
    const dir = join(await tempDir(), 'deep', 'data')
    await (await openStore(dir, components)).close()
    if (process.platform === 'win32') return
    expect((await stat(join(dir, 'store'))).mode & 0o777).toBe(0o700)
  })

  it('a path that cannot be a folder is a typed error that says what to check', async () => {
    const file = join(await tempDir(), 'file')
    await writeFile(file, '')
    await expect(openStore(file, components)).rejects.toMatchObject({
      code: 'storage_unavailable',
      message: expect.stringMatching(/writable/),
    })
  })

  it.runIf(process.platform !== 'win32' && process.getuid?.() !== 0)(
    'a folder without rights is a typed error',
    async () => {
      const dir = await tempDir()
      await mkdir(join(dir, 'store'), { mode: 0o500 })
      onTestFinished(() => chmod(join(dir, 'store'), 0o700))
      await expect(openStore(dir, components)).rejects.toMatchObject({
        code: 'storage_unavailable',
      })
    },
  )

  it('damaged files are a typed error at opening or reading, never a crash', async () => {
    for (const damage of ['manifest gone', 'manifest garbage', 'tables gone', 'tables garbage']) {
      const dir = await filled()
      const files = await readdir(join(dir, 'store'))
      const pattern = damage.startsWith('manifest') ? /^MANIFEST/ : /\.ldb$/
      const hit = files.filter((file) => pattern.test(file)).map((file) => join(dir, 'store', file))
      expect(hit.length, damage).toBeGreaterThan(0)
      for (const file of hit) {
        if (damage.endsWith('gone')) await truncate(file, 0)
        else await writeFile(file, Buffer.alloc(20_000, 0xa5))
      }
      const failure = await (async () => {
        const store = await openStore(dir, components)
        try {
          await allRows(store.table('rows', codec))
        } finally {
          await store.close()
        }
      })().catch((error: unknown) => error)
      expect(failure, damage).toMatchObject({ code: 'storage_corrupt' })
      expect(String(failure)).toContain('Restore a backup')
    }
  })

  it('says when what was written last can not all be read', async () => {
    const dir = await tempDir()
    const store = await openStore(dir, components)
    const table = store.table('rows', codec)
    for (let n = 0; n < 40; n++) await table.put(n, new Uint8Array(1000).fill(n))
    await store.close()
    const logs = (await readdir(join(dir, 'store'))).filter((name) => name.endsWith('.log'))
    const log = join(dir, 'store', logs[0] ?? '')
    const bytes = await readFile(log)
    bytes[20_000] = 0xff
    await writeFile(log, bytes)
    const error = vi.fn()
    const damaged = await openStore(dir, { logger: { ...silentLogger, error } })
    expect((await allRows(damaged.table('rows', codec))).length).toBeLessThan(40)
    await damaged.close()
    expect(error).toHaveBeenCalledWith(expect.stringContaining('damaged'), {
      bytes: expect.any(Number),
    })
    error.mockClear()
    await (await openStore(dir, { logger: { ...silentLogger, error } })).close()
    expect(error).not.toHaveBeenCalled()
  })

  it('does not begin anew over rows whose index is gone', async () => {
    for (const lost of [/^CURRENT$/, /^MANIFEST/]) {
      const dir = await filled()
      const files = await readdir(join(dir, 'store'))
      for (const file of files.filter((name) => lost.test(name))) await rm(join(dir, 'store', file))
      const left = (await readdir(join(dir, 'store'))).filter((name) => name.endsWith('.ldb'))
      await expect(openStore(dir, components)).rejects.toMatchObject({ code: 'storage_corrupt' })
      expect(await readdir(join(dir, 'store'))).toEqual(expect.arrayContaining(left))
    }
  })

  it('begins anew where a first start was killed before there were rows', async () => {
    const dir = await tempDir()
    await mkdir(join(dir, 'store'))
    await writeFile(join(dir, 'store', 'MANIFEST-000001'), 'half')
    await writeFile(join(dir, 'store', 'LOCK'), '')
    await (await openStore(dir, components)).close()
  })
})
