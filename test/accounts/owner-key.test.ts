import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeKey } from '../../src/accounts/key-text.ts'
import { KeyStore } from '../../src/accounts/keys.ts'
import { loadOwnerKey } from '../../src/accounts/owner-key.ts'
import { scopes } from '../../src/accounts/principal.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { tempDir } from '../storage/temp-dir.ts'

const random = systemRandom

async function start(dir: string, backend: MemoryBackend) {
  const store = await openStoreOn(backend, { logger: silentLogger })
  const keys = await KeyStore.open({ store, clock: systemClock, random, logger: silentLogger })
  return { keys, key: await loadOwnerKey(dir, { keys, random }) }
}

describe('the owner’s key', () => {
  it('is made at the first start, may do everything, and stays', async () => {
    const dir = await tempDir()
    const backend = new MemoryBackend()
    const { key, keys } = await start(dir, backend)
    expect(await readFile(join(dir, 'owner.key'), 'utf8')).toBe(`${key}\n`)
    const principal = keys.verify(key)
    expect(principal).toMatchObject({ account: 'owner', scopes: new Set(scopes) })
    expect(keys.list()).toMatchObject([{ owner: true, name: 'owner', scopes }])
    if (process.platform !== 'win32') {
      expect((await stat(join(dir, 'owner.key'))).mode & 0o777).toBe(0o600)
    }
    const again = await start(dir, backend)
    expect(again.key).toBe(key)
    expect(again.keys.verify(key)).toEqual(principal)
    expect(again.keys.list()).toHaveLength(1)
  })

  it('is replaced when its file was deleted, and the old one is revoked', async () => {
    const dir = await tempDir()
    const backend = new MemoryBackend()
    const first = await start(dir, backend)
    await rm(join(dir, 'owner.key'))
    const second = await start(dir, backend)
    expect(second.key).not.toBe(first.key)
    expect(second.keys.verify(second.key).scopes.has('keys:manage')).toBe(true)
    expect(() => second.keys.verify(first.key)).toThrow(/revoked/)

    // The old file put back does not bring the old key back to life.
    await writeFile(join(dir, 'owner.key'), first.key, { mode: 0o600 })
    await expect(start(dir, backend)).rejects.toMatchObject({ code: 'owner_key_refused' })
    await rm(join(dir, 'owner.key'))
    const third = await start(dir, backend)
    expect(() => third.keys.verify(second.key)).toThrow(/revoked/)
    expect(third.keys.list().filter((record) => record.revokedAt === null)).toHaveLength(1)
  })

  it('is adopted from its file by a new database', async () => {
    const dir = await tempDir()
    const { key } = await start(dir, new MemoryBackend())
    const fresh = await start(dir, new MemoryBackend())
    expect(fresh.key).toBe(key)
    expect(fresh.keys.verify(key).account).toBe('owner')
  })

  it('cannot be an ordinary key, nor be revoked by its id', async () => {
    const dir = await tempDir()
    const backend = new MemoryBackend()
    const { keys } = await start(dir, backend)
    const owner = keys.list()[0]?.id ?? ''
    await expect(keys.revoke(owner)).rejects.toMatchObject({ code: 'owner_key_needed' })
    const { key } = await keys.create({ name: 'a', account: 'ada' })
    await writeFile(join(dir, 'owner.key'), key, { mode: 0o600 })
    await expect(start(dir, backend)).rejects.toMatchObject({ code: 'owner_key_refused' })
  })

  it('in a file that is damaged or open to others is refused, and never overwritten', async () => {
    const dir = await tempDir()
    const path = join(dir, 'owner.key')
    for (const text of ['', 'sk-pnv-short', `${makeKey(random)}\n${makeKey(random)}`]) {
      await writeFile(path, text, { mode: 0o600 })
      await expect(start(dir, new MemoryBackend())).rejects.toMatchObject({
        code: 'secret_file_invalid',
      })
      expect(await readFile(path, 'utf8')).toBe(text)
    }
    if (process.platform === 'win32') return
    await writeFile(path, makeKey(random))
    await chmod(path, 0o644)
    await expect(start(dir, new MemoryBackend())).rejects.toMatchObject({
      code: 'secret_file_rights',
    })
  })
})
