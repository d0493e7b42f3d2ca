import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { openStore } from '../../src/storage/store.ts'
import { diagnose, examineAll, temporaryFolder } from './stage.ts'

/** A disk of its own in memory; undefined where this user may not have one. */
function smallDisk(size: string): string | undefined {
  const folder = temporaryFolder()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder])
  if (mounted.status !== 0) {
    console.warn('Not run: tests with a disk of their own need Linux and root.')
    return undefined
  }
  onTestFinished(() => {
    spawnSync('umount', [folder])
  })
  return folder
}

const on = (dir: string) => ({ flags: { 'data-dir': dir } })

async function usedStore(): Promise<string> {
  const dir = temporaryFolder()
  for (let round = 0; round < 2; round++) {
    const store = await openStore(dir, { logger: silentLogger })
    await store.close()
  }
  return dir
}

/** Every file with what is in it and when it was written, and every folder. */
function everythingIn(folder: string): unknown[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return ['', ...names].map((name) => {
    const path = join(folder, name)
    const stat = statSync(path)
    return [name, stat.mtimeMs, stat.size, stat.isFile() ? readFileSync(path, 'hex') : '']
  })
}

describe('a disk', () => {
  it('that is full', async () => {
    const dir = smallDisk('256k')
    if (dir === undefined) return
    writeFileSync(join(dir, 'filler'), Buffer.alloc(240 * 1024))
    const [found] = await diagnose('disk', on(dir))
    expect(found).toMatchObject({ verdict: 'fail', code: 'disk_full' })
    expect(found?.cause).toContain(dir)
    expect(found?.next).toMatch(/Make room/)
  })

  it('that is nearly full', async () => {
    const dir = smallDisk('100m')
    if (dir === undefined) return
    const [found] = await diagnose('disk', on(dir))
    expect(found).toMatchObject({ verdict: 'warn', code: 'disk_low' })
  })

  it('that can only be read', async () => {
    const dir = smallDisk('64m')
    if (dir === undefined) return
    spawnSync('mount', ['-o', 'remount,ro', dir])
    const [found] = await diagnose('disk', on(dir))
    expect(found).toMatchObject({ verdict: 'fail', code: 'disk_read_only' })
    expect(found?.next).toMatch(/mount it for writing/)
  })

  it('that is slow', async () => {
    let elapsed = 0
    const clock = { ...systemClock, elapsed: () => (elapsed += 400) }
    const [found] = await diagnose('disk', { more: { clock } })
    expect(found).toMatchObject({ verdict: 'warn', code: 'disk_slow' })
    expect(found?.cause).toMatch(/takes 400 ms/)
    expect(found?.next).toMatch(/local disk/)
  })
})

describe('a database', () => {
  it('that is whole', async () => {
    expect(await diagnose('database', on(await usedStore()))).toMatchObject([{ verdict: 'ok' }])
  })

  it.each(['CURRENT', 'MANIFEST'])('that has lost its %s', async (name) => {
    const dir = await usedStore()
    for (const each of readdirSync(join(dir, 'store'))) {
      if (each.startsWith(name)) rmSync(join(dir, 'store', each))
    }
    const [found] = await diagnose('database', on(dir))
    expect(found).toMatchObject({ verdict: 'fail', code: 'storage_corrupt' })
    expect(found?.cause).toContain(name)
    expect(found?.next).toMatch(/Restore a backup/)
  })

  it('with a table that was cut off', async () => {
    const dir = await usedStore()
    writeFileSync(join(dir, 'store', '000099.ldb'), 'only its beginning')
    const [found] = await diagnose('database', on(dir))
    expect(found).toMatchObject({ code: 'storage_corrupt' })
    expect(found?.cause).toContain('000099.ldb')
  })

  it('of which a part was passed over', async () => {
    const dir = await usedStore()
    const line =
      '2026/11/21-12:00:00.000000 7f Recovering log #3: dropping 2048 bytes; Corruption\n'
    writeFileSync(join(dir, 'store', 'LOG'), line)
    const [found] = await diagnose('database', on(dir))
    expect(found).toMatchObject({ verdict: 'warn', code: 'storage_lost' })
    expect(found?.cause).toContain('2 KiB')
  })

  it('in use by a program that is no peer', async () => {
    const dir = temporaryFolder()
    const store = await openStore(dir, { logger: silentLogger })
    onTestFinished(() => store.close())
    const [found] = await diagnose('peer', on(dir))
    if (process.platform !== 'linux') return
    expect(found).toMatchObject({ verdict: 'fail', code: 'data_dir_in_use' })
    expect(found?.cause).toContain(`(process ${process.pid})`)
    expect(found?.next).toContain('--data-dir')
  })
})

describe('a data folder', () => {
  it('with a key that others may read', async () => {
    const dir = temporaryFolder()
    writeFileSync(join(dir, 'identity.key'), 'pinaivu-identity-v1\n', { mode: 0o644 })
    const [found] = await diagnose('data folder', on(dir))
    expect(found).toMatchObject({ verdict: 'fail', code: 'secret_file_rights' })
    expect(`${found?.cause} ${found?.next}`).toContain('chmod 600')
  })

  it('that is a file', async () => {
    const path = join(temporaryFolder(), 'file')
    writeFileSync(path, '')
    const [found] = await diagnose('data folder', on(path))
    expect(found).toMatchObject({ verdict: 'fail', code: 'data_dir_no_folder' })
  })

  it('that is not there yet is fine, and still not there afterwards', async () => {
    const above = temporaryFolder()
    const dir = join(above, 'one/two')
    expect(await diagnose('data folder', on(dir))).toMatchObject([{ verdict: 'ok' }])
    expect(await diagnose('disk', on(dir))).toMatchObject([{ check: 'disk' }])
    expect(readdirSync(above)).toEqual([])
  })

  it('is as it was when all was looked at', async () => {
    const dir = await usedStore()
    mkdirSync(join(dir, 'folder'))
    const before = everythingIn(dir)
    const findings = await examineAll(on(dir))
    expect(findings.filter(({ verdict }) => verdict === 'fail')).toEqual([])
    expect(new Set(findings.map(({ check }) => check)).size).toBe(12)
    expect(everythingIn(dir)).toEqual(before)
  })
})
