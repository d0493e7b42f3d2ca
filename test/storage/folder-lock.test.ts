import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { StorageUnavailableError } from '../../src/storage/errors.ts'
import { lockFolder } from '../../src/storage/folder-lock.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-lock-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return join(path, 'lock')
}

it('a lock is held by one at a time, and held again once it is let go', async () => {
  const path = folder()
  const unlock = await lockFolder(path)
  expect(await lockFolder(path)).toBeUndefined()
  await unlock?.()
  expect(await lockFolder(path)).toBeTypeOf('function')
})

it.each(['', 'MANIFEST-000099\n', 'garbage'])(
  'a lock that a power cut left with %j can be taken, and is one still',
  async (text) => {
    const path = folder()
    await (await lockFolder(path))?.()
    writeFileSync(join(path, 'CURRENT'), text)
    const unlock = await lockFolder(path)
    expect(unlock).toBeTypeOf('function')
    expect(await lockFolder(path)).toBeUndefined()
    await unlock?.()
  },
)

it('what is damaged while it is held does not give it to another', async () => {
  const path = folder()
  const unlock = await lockFolder(path)
  truncateSync(join(path, 'CURRENT'), 0)
  expect(await lockFolder(path)).toBeUndefined()
  await unlock?.()
  expect(await lockFolder(path)).toBeTypeOf('function')
})

it('a folder that cannot be made is told of', async () => {
  const path = folder()
  writeFileSync(path, 'a file')
  await expect(lockFolder(path)).rejects.toThrow(StorageUnavailableError)
  expect(existsSync(path)).toBe(true)
})
