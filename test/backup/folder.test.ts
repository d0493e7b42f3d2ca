import { execFileSync } from 'node:child_process'
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cacheTables } from '../../src/backup/contents.ts'
import { finishRestore, isMount, moveIn, stagingOf, type Target } from '../../src/backup/swap.ts'
import { writeWhole } from '../../src/backup/whole-file.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { isRestored } from '../../src/receipts/feeds/own-restored.ts'
import { RawStore } from '../../src/storage/raw-store.ts'
import { openStore } from '../../src/storage/store.ts'
import { tempDir } from '../storage/temp-dir.ts'
import { backUp, blob, contentOf, dataFolder, PASSPHRASE, restoreTo } from './stage.ts'

/** A folder with a peer's data, and a place beside it. */
async function place() {
  const home = await tempDir()
  const dir = await dataFolder(join(home, 'peer'))
  return { home, dir, file: join(home, 'peer.backup'), target: join(home, 'again') }
}

/** Restored rows have one more: that they were. */
async function restored(dir: string) {
  return contentOf(dir, ['feed-restored'])
}

describe('a backup', () => {
  it('holds all rows but those of caches, the files of accounts and the keys, for nobody else', async () => {
    const { home, dir, file, target } = await place()
    const report = await backUp(dir, file)
    expect(report).toMatchObject({ rows: 21, files: 6, damagedFiles: 0 })
    expect(report.bytes).toBe(statSync(file).size)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file).includes('sk-pnv-owner')).toBe(false)
    expect(readdirSync(home).sort()).toEqual(['peer', 'peer.backup'])
    const told = await restoreTo(target, file)
    expect(told).toMatchObject({ dataDir: target, movedTo: null, rows: 21, files: 6 })
    const expected = await contentOf(dir, cacheTables)
    delete expected.files['peer.json']
    expect(await restored(target)).toEqual(expected)
    for (const name of ['identity.key', 'owner.key', 'config.toml']) {
      expect(statSync(join(target, name)).mode & 0o777).toBe(0o600)
    }
    expect(statSync(target).mode & 0o777).toBe(0o700)
    const store = await openStore(target, { logger: silentLogger })
    expect(await isRestored(store)).toBe(true)
    await store.close()
  })

  it('is not written over another file, and is none where there is no peer', async () => {
    const { home, dir, file } = await place()
    writeFileSync(file, 'mine')
    const asked = { passphrase: () => Promise.reject(new Error('asked')) }
    await expect(backUp(dir, file, asked)).rejects.toMatchObject({ code: 'backup_exists' })
    expect(readFileSync(file, 'utf8')).toBe('mine')
    await backUp(dir, file, { force: true })
    expect(readFileSync(file).includes('pinaivu-backup')).toBe(true)
    const empty = join(home, 'empty')
    await mkdir(empty)
    for (const none of [empty, join(home, 'nowhere')]) {
      const other = join(home, 'other')
      await expect(backUp(none, other)).rejects.toMatchObject({ code: 'backup_nothing' })
    }
    // Never a device: with the rights to do it, a rename would put the file in its place.
    symlinkSync(file, join(home, 'link'))
    for (const odd of [empty, join(home, 'link')]) {
      const refused = backUp(dir, odd, { force: true, ...asked })
      await expect(refused).rejects.toMatchObject({ code: 'backup_failed' })
    }
    await rm(join(home, 'link'))
    await expect(backUp(dir, join(file, 'x'))).rejects.toMatchObject({ code: 'backup_failed' })
    expect(readdirSync(empty)).toEqual([])
    expect(readdirSync(home).sort()).toEqual(['empty', 'peer', 'peer.backup'])
  })

  it('never takes the place of what the peer needs', async () => {
    const { dir, file } = await place()
    const key = join(dir, 'identity.key')
    const before = readFileSync(key)
    await expect(backUp(dir, key, { force: true })).rejects.toMatchObject({ code: 'backup_exists' })
    expect(readFileSync(key)).toEqual(before)
    await backUp(dir, join(dir, 'new.backup'))
    await backUp(dir, file)
  })

  it('does not wait for ever for a pipe, wherever one is', async () => {
    const { home, dir, file, target } = await place()
    const pipe = join(home, 'pipe')
    execFileSync('mkfifo', [pipe])
    await expect(restoreTo(target, pipe)).rejects.toMatchObject({ code: 'backup_foreign' })
    await rename(pipe, join(dir, 'owner.key'))
    await expect(backUp(dir, file)).rejects.toThrow(/owner.key is not a plain file. Look at it/)
    expect(readdirSync(home)).toEqual(['peer'])
  })

  it('restored twice at once into one folder is there once, and the other says so', async () => {
    const { dir, file, target } = await place()
    await backUp(dir, file)
    await restoreTo(target, file)
    const staging = `${target}.restoring-1`
    await mkdir(staging)
    const late = moveIn(staging, { dir: target, state: 'missing' }, 0)
    await expect(late).rejects.toMatchObject({ code: 'data_dir_not_empty' })
    expect(readdirSync(target)).toContain('identity.key')
  })

  it('of which the writing ends early leaves the file from before, and nothing else', async () => {
    const { home, dir, file } = await place()
    await backUp(dir, file)
    const before = readFileSync(file)
    const end = new AbortController()
    const stopped = backUp(dir, file, {
      ...{ force: true, signal: end.signal },
      onProgress: () => end.abort(),
    })
    await expect(stopped).rejects.toThrow('abort')
    const full = async function* () {
      yield Buffer.of(1)
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    }
    const options = { force: true, signal: new AbortController().signal }
    await expect(writeWhole(file, full(), options)).rejects.toMatchObject({ code: 'storage_full' })
    // What a process left that was killed: this number is too high for a running one.
    writeFileSync(`${file}.999999999.partial`, 'half')
    expect(readFileSync(file)).toEqual(before)
    await backUp(dir, file, { force: true })
    expect(readdirSync(home).sort()).toEqual(['peer', 'peer.backup'])
  })

  it('says how many files had been damaged before, and does not restore them as if they were whole', async () => {
    const { dir, file, target } = await place()
    const name = 'ab'.repeat(32)
    blob(dir, Buffer.from('other bytes'), name)
    expect(await backUp(dir, file)).toMatchObject({ files: 7, damagedFiles: 1 })
    expect(await restoreTo(target, file)).toMatchObject({ files: 7, damagedFiles: 1 })
    expect(existsSync(join(target, 'files/ab', name))).toBe(false)
  })
})

describe('a restore', () => {
  it('needs a folder that is empty, not in use, and no disk of its own', async () => {
    const { home, dir, file, target } = await place()
    await backUp(dir, file)
    const asked = { passphrase: () => Promise.reject(new Error('asked')) }
    await expect(restoreTo(dir, file, asked)).rejects.toMatchObject({ code: 'data_dir_not_empty' })
    await mkdir(target)
    const store = await openStore(target, { logger: silentLogger })
    for (const force of [true, false]) {
      const refused = restoreTo(target, file, { force })
      await expect(refused).rejects.toMatchObject({ code: 'data_dir_in_use' })
    }
    await store.close()
    const stranger = join(home, 'home')
    await mkdir(join(stranger, 'pictures'), { recursive: true })
    const foreign = restoreTo(stranger, file, { force: true })
    await expect(foreign).rejects.toMatchObject({ code: 'data_dir_not_empty' })
    await rm(stranger, { recursive: true })
    // Only looked at: to try it on a real one could do harm.
    expect([await isMount('/proc'), await isMount('/'), await isMount(dir)]).toEqual([
      ...[true, true, false],
    ])
    await rm(target, { recursive: true })
    await mkdir(target)
    await restoreTo(target, file)
    expect(readdirSync(home).sort()).toEqual(['again', 'peer', 'peer.backup'])
  })

  it('in place of another folder moves that aside, also behind a link', async () => {
    const { home, dir, file } = await place()
    await backUp(dir, file)
    const other = await dataFolder(join(home, 'other'), { rows: 3, more: '2' })
    const before = await contentOf(other)
    symlinkSync(other, join(home, 'link'))
    const { movedTo } = await restoreTo(join(home, 'link'), file, { force: true })
    expect(dirname(movedTo ?? '')).toBe(home)
    expect(basename(movedTo ?? '')).toMatch(/^other\.before-restore-\d{4}-/)
    expect(await contentOf(movedTo ?? '')).toEqual(before)
    expect((await restored(other)).files['owner.key']).toBe(
      (await contentOf(dir)).files['owner.key'],
    )
  })

  it('replaces also a folder whose database is damaged', async () => {
    const { home, dir, file } = await place()
    await backUp(dir, file)
    await rm(join(dir, 'store/CURRENT'))
    await expect(backUp(dir, join(home, 'x'))).rejects.toMatchObject({ code: 'backup_nothing' })
    await restoreTo(dir, file, { force: true })
    expect(Object.keys((await restored(dir)).rows)).toHaveLength(21)
  })

  it('of rows that only a newer program reads is refused', async () => {
    const { home, dir, file, target } = await place()
    const store = await RawStore.open(dir)
    const schema = '{"version":99,"program":"9.9.9"}'
    await store.write([[Buffer.from('\u0004metaschema'), Buffer.from(schema)]], { sync: true })
    await store.close()
    await backUp(dir, file)
    const refused = restoreTo(target, file)
    await expect(refused).rejects.toMatchObject({ code: 'storage_newer', found: 99 })
    expect(readdirSync(home).sort()).toEqual(['peer', 'peer.backup'])
  })

  it('that was killed between its last two steps is finished by whoever looks next', async () => {
    const { home, dir, file, target } = await place()
    await backUp(dir, file)
    await restoreTo(target, file)
    const content = await restored(target)
    for (const isThere of [false, true]) {
      await rename(target, `${target}.restored`)
      if (isThere) await mkdir(target)
      expect(await finishRestore(target)).toBe(true)
      expect(await finishRestore(target)).toBe(false)
      expect(await restored(target)).toEqual(content)
    }
    symlinkSync(target, join(home, 'link'))
    await rename(target, `${target}.restored`)
    expect(await finishRestore(join(home, 'link'))).toBe(true)
    await rm(join(home, 'link'))
    // Killed before the old folder was moved aside: that one counts, and the next restore clears up.
    await mkdir(`${target}.restored`)
    await mkdir(`${target}.restoring-999999999`)
    expect(await finishRestore(target)).toBe(false)
    expect(await restored(target)).toEqual(content)
    const { movedTo } = await restoreTo(target, file, { force: true })
    const names = ['again', basename(movedTo ?? ''), 'peer', 'peer.backup']
    expect(readdirSync(home).sort()).toEqual(names.sort())
  })

  it('fills an empty disk, and is finished there likewise', async () => {
    const { dir, file, target } = await place()
    await backUp(dir, file)
    const whole = `${target}-whole`
    await restoreTo(whole, file)
    const content = await restored(whole)
    await mkdir(target)
    const disk: Target = { dir: target, state: 'empty-disk' }
    expect(dirname(stagingOf(disk))).toBe(target)
    await rename(whole, stagingOf(disk))
    expect(await moveIn(stagingOf(disk), disk, 0)).toBeUndefined()
    expect(await restored(target)).toEqual(content)
    // Killed when some of it was in its place.
    await mkdir(join(target, '.restored'))
    for (const name of ['store', 'identity.key']) {
      await rename(join(target, name), join(target, '.restored', name))
    }
    expect(await finishRestore(target)).toBe(true)
    expect(await finishRestore(target)).toBe(false)
    expect(await restored(target)).toEqual(content)
  })

  it('of a file that is changed or cut off anywhere leaves nothing behind', async () => {
    const { home, dir, file, target } = await place()
    await backUp(dir, file)
    const good = readFileSync(file)
    const bad = join(home, 'bad')
    const refusedAs = async (bytes: Uint8Array) => {
      writeFileSync(bad, bytes)
      const error = await restoreTo(target, bad).then(
        () => undefined,
        (thrown: { code?: string; message?: string }) => thrown,
      )
      expect(error?.message).toMatch(/^[^\n]+\.$/)
      expect(readdirSync(home).sort()).toEqual(['bad', 'peer', 'peer.backup'])
      return error?.code
    }
    const codes = ['backup_damaged', 'backup_foreign', 'backup_newer', 'backup_passphrase']
    const position = fc.oneof(fc.nat(120), fc.nat(good.length - 1))
    await fc.assert(
      fc.asyncProperty(position, fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(good)
        bytes[at] = (bytes[at] ?? 0) ^ change
        expect(codes).toContain(await refusedAs(bytes))
      }),
    )
    const chunk = 64 * 1024 + 16
    const cuts = [0, 1, 14, 15, 16, 83, 84, 85, 100, 84 + chunk, 84 + 2 * chunk, good.length - 1]
    for (const at of cuts) expect(codes).toContain(await refusedAs(good.subarray(0, at)))
    expect(await refusedAs(Buffer.concat([good, Buffer.of(0)]))).toBe('backup_damaged')
    const swapped = [good.subarray(0, 84), good.subarray(84 + chunk, 84 + 2 * chunk)]
    const rest = [good.subarray(84, 84 + chunk), good.subarray(84 + 2 * chunk)]
    expect(await refusedAs(Buffer.concat([...swapped, ...rest]))).toBe('backup_damaged')
    const other = { passphrase: async () => `${PASSPHRASE}s` }
    await expect(restoreTo(target, file, other)).rejects.toMatchObject({
      code: 'backup_passphrase',
    })
    expect(existsSync(target)).toBe(false)
  })
})
