import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type FileDetails,
  type FileRecord,
  fileUses,
} from '../../../src/accounts/files/file-record.ts'
import { FileStore, type FileStoreOptions } from '../../../src/accounts/files/file-store.ts'
import type { Upload } from '../../../src/accounts/files/upload.ts'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { openStoreOn, type Store } from '../../../src/storage/store.ts'
import { StubBackend } from '../../storage/stub-backend.ts'
import { tempDir } from '../../storage/temp-dir.ts'
import { mp4, png, wav } from './media-files.ts'

const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function setUp(options: Partial<FileStoreOptions> = {}) {
  const folder = join(await tempDir(), 'files')
  const backend = new StubBackend()
  let now = 1_800_000_000_000
  // Ids in the order of their making, whatever the clock of the machine says.
  const clock: Clock = { ...systemClock, now: () => now++ }
  const open = async () => {
    const store = await openStoreOn(backend, { logger: silentLogger })
    const components = { store, clock, random: systemRandom, logger: silentLogger }
    const files = await FileStore.open(folder, components, options)
    return { store, files }
  }
  return { folder, backend, open, ...(await open()) }
}

const image = { kind: 'image', filename: 'a.png' } as const

async function send(
  files: FileStore,
  account: string,
  bytes: Buffer,
  details: FileDetails = image,
) {
  const upload = await files.begin(account)
  try {
    for (let at = 0; at < bytes.length; at += 100) await upload.write(bytes.subarray(at, at + 100))
  } catch (error) {
    await files.discard(upload)
    throw error
  }
  return files.keep(account, upload, details)
}

async function all(files: FileStore, account: string): Promise<FileRecord[]> {
  const records: FileRecord[] = []
  for await (const record of files.list(account, {})) records.push(record)
  return records
}

/** The hashes of what lies in the folder; drafts have no such names. */
async function onDisk(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  return names
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort()
}

async function contentOf(files: FileStore, record: FileRecord): Promise<Buffer> {
  const file = await files.open(record)
  try {
    return await file.readFile()
  } finally {
    await file.close()
  }
}

describe('a file', () => {
  it('is there as it was sent, for its account alone, after a restart too', async () => {
    const { files, store, open, folder } = await setUp()
    const bytes = png()
    const details: FileDetails = {
      kind: 'image',
      filename: 'cat.png',
      model: 'm',
      clientRequestId: 'r1',
    }
    const record = await send(files, 'ann', bytes, details)
    expect(record).toMatchObject({
      ...{ account: 'ann', kind: 'image', model: 'm', filename: 'cat.png', mimeType: 'image/png' },
      ...{ bytes: bytes.length, sha256: hashOf(bytes), durationMs: null, clientRequestId: 'r1' },
    })
    expect(record.id).toMatch(/^file_[0-9a-z]{26}$/)
    await files.close()
    await store.close()
    const again = await open()
    expect(await again.files.get('ann', record.id)).toEqual(record)
    expect(await again.files.find(record.id)).toEqual(record)
    expect(await contentOf(again.files, record)).toEqual(bytes)
    expect(await again.files.get('bob', record.id)).toBeUndefined()
    expect(await all(again.files, 'bob')).toEqual([])
    await expect(again.files.delete('bob', record.id)).rejects.toMatchObject({
      code: 'file_not_found',
    })
    expect(await onDisk(folder)).toEqual([record.sha256])
  })

  it('that two accounts sent is there once, and stays until both have deleted it', async () => {
    const { files, folder } = await setUp()
    const bytes = png()
    const [anns, bobs, more] = await Promise.all(
      ['ann', 'bob', 'ann'].map((account) => send(files, account, bytes)),
    )
    expect(await onDisk(folder)).toEqual([hashOf(bytes)])
    await files.delete('ann', anns?.id ?? '')
    expect(await contentOf(files, bobs as FileRecord)).toEqual(bytes)
    await files.delete('bob', bobs?.id ?? '')
    expect(await contentOf(files, more as FileRecord)).toEqual(bytes)
    await files.delete('ann', more?.id ?? '')
    expect(await onDisk(folder)).toEqual([])
    expect(await files.find(bobs?.id ?? '')).toBeUndefined()
  })

  it('that comes while the last of its kind goes is there', async () => {
    const { files, folder, backend } = await setUp()
    const { id } = await send(files, 'ann', png())
    const written = backend.writes.length
    backend.held = true
    const upload = await files.begin('bob')
    await upload.write(png())
    const deleting = files.delete('ann', id)
    await expect.poll(() => backend.writes.length).toBe(written + 1)
    const keeping = files.keep('bob', upload, image)
    // Should it not wait for its turn, its bytes are in their place soon.
    const drafts = join(folder, 'drafts')
    for (let look = 0; look < 1000 && (await readdir(drafts)).length > 0; look++);
    backend.release()
    backend.held = true
    await deleting
    backend.release()
    expect(await contentOf(files, await keeping)).toEqual(png())
  })

  it('deleted twice at once is deleted once', async () => {
    const { files } = await setUp()
    const { id } = await send(files, 'ann', png())
    const ends = await Promise.allSettled([files.delete('ann', id), files.delete('ann', id)])
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('is not what its sender calls it', async () => {
    const { files, folder } = await setUp()
    const kind: FileDetails = { kind: 'audio', filename: 'a.wav' }
    await expect(send(files, 'ann', png(), kind)).rejects.toMatchObject({ param: 'kind' })
    const page = Buffer.from(`<html>${' '.repeat(100)}`)
    await expect(send(files, 'ann', page)).rejects.toMatchObject({ code: 'unsupported_file' })
    await expect(send(files, 'ann', Buffer.alloc(0))).rejects.toMatchObject({
      code: 'unsupported_file',
    })
    expect(await onDisk(folder)).toEqual([])
  })

  it.each([
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\ann\\cat.png', 'cat.png'],
    ['..', 'file.png'],
    ['', 'file.png'],
    [undefined, 'file.png'],
    ['a\u0000b\u202egnp.exe\n', 'abgnp.exe'],
    ['ne\u0301.png', 'né.png'],
    ['\ud800.png', '�.png'],
    ['é'.repeat(300), 'é'.repeat(127)],
    ['猫😀.png', '猫😀.png'],
  ])('called %j is shown as %j', async (filename, shown) => {
    const { files } = await setUp()
    const record = await send(files, 'ann', png(), { kind: 'image', filename })
    expect(record.filename).toBe(shown)
  })
})

describe('limits', () => {
  const fileBytesMax = { image: 1_000, video: 3_000, audio: 2_000 }

  it('hold for each kind, as soon as its content shows which it is', async () => {
    const { files } = await setUp({ fileBytesMax })
    const upload = await files.begin('ann')
    await upload.write(png(1, 900))
    await expect(upload.write(Buffer.alloc(200))).rejects.toMatchObject({
      code: 'request_too_large',
    })
    await files.discard(upload)
    const sound: FileDetails = { kind: 'audio', filename: 'a' }
    const tracks = { tracks: ['soun'] }
    expect(await send(files, 'ann', mp4(tracks), sound)).toMatchObject({ mimeType: 'audio/mp4' })
    const large = Buffer.concat([mp4(tracks), Buffer.alloc(1_500)])
    await expect(send(files, 'ann', large, sound)).rejects.toMatchObject({
      code: 'request_too_large',
    })
  })

  it('hold for all files of an account, those that are coming in too', async () => {
    const accountBytesMax = 1_000
    const { files, folder } = await setUp({ accountBytesMax, accountFilesMax: 3 })
    const { id } = await send(files, 'ann', png(1, 500))
    const upload = await files.begin('ann')
    await upload.write(png(2, 300))
    await expect(send(files, 'ann', png(3, 300))).rejects.toMatchObject({
      code: 'file_quota_exceeded',
    })
    await send(files, 'bob', png(3, 300))
    await files.discard(upload)
    await send(files, 'ann', png(3, 100))
    await send(files, 'ann', png(4, 10))
    await expect(files.begin('ann')).rejects.toMatchObject({ code: 'file_quota_exceeded' })
    await files.delete('ann', id)
    await send(files, 'ann', png(1, 500))
    expect((await onDisk(folder)).length).toBe(4)
  })

  it('hold after a restart, and for how many come in at one time', async () => {
    const { files, open } = await setUp({ accountFilesMax: 2, uploadsMax: 2 })
    await send(files, 'ann', png(1))
    await send(files, 'ann', png(2))
    const again = await open()
    await expect(again.files.begin('ann')).rejects.toMatchObject({ code: 'file_quota_exceeded' })
    const some = [await again.files.begin('bob'), await again.files.begin('cat')]
    await expect(again.files.begin('dan')).rejects.toMatchObject({ code: 'overloaded' })
    for (const upload of some) await again.files.discard(upload)
    await again.files.discard(await again.files.begin('dan'))
  })

  it('keep one account from taking the places of all others', async () => {
    const { files } = await setUp({ accountUploadsMax: 2 })
    const [first, second] = [await files.begin('ann'), await files.begin('ann')]
    await expect(files.begin('ann')).rejects.toMatchObject({ code: 'overloaded' })
    const other = await files.begin('bob')
    await first.write(png(1))
    await files.keep('ann', first, image)
    for (const upload of [second, other, await files.begin('ann')]) await files.discard(upload)
    expect((await all(files, 'ann')).length).toBe(1)
  })
})

it('a disk that takes nothing is told of as such, and nothing is counted', async () => {
  const { files, folder } = await setUp({ accountFilesMax: 1 })
  await rm(join(folder, 'drafts'), { recursive: true })
  await expect(files.begin('ann')).rejects.toMatchObject({ code: 'storage_failed' })
  await mkdir(join(folder, 'drafts'))
  const inTheWay = join(folder, hashOf(png(1)).slice(0, 2))
  await writeFile(inTheWay, '')
  await expect(send(files, 'ann', png(1))).rejects.toMatchObject({ code: 'storage_failed' })
  await rm(inTheWay)
  await send(files, 'ann', png(1))
})

describe('after a crash', () => {
  it('there is nothing that no file has', async () => {
    const { files, folder, open, store } = await setUp()
    const kept = await send(files, 'ann', png(1))
    const upload = await files.begin('ann')
    await upload.write(png(2))
    await files.swept
    const orphan = hashOf(png(3))
    await mkdir(join(folder, orphan.slice(0, 2)), { recursive: true })
    await writeFile(join(folder, orphan.slice(0, 2), orphan), png(3))
    await writeFile(join(folder, orphan.slice(0, 2), 'README'), 'not ours')
    expect((await onDisk(folder)).length).toBe(4)
    await store.close()
    const again = await open()
    await again.files.swept
    expect(await onDisk(folder)).toEqual([kept.sha256, 'README'].sort())
    expect(await contentOf(again.files, kept)).toEqual(png(1))
    await upload.discard()
  })

  it('a file whose bytes are lost says so', async () => {
    const { files, folder } = await setUp()
    const record = await send(files, 'ann', png(1))
    await rm(join(folder, record.sha256.slice(0, 2)), { recursive: true })
    await expect(files.open(record)).rejects.toMatchObject({ code: 'storage_failed' })
    await files.delete('ann', record.id)
    await expect(files.open(record)).rejects.toMatchObject({ code: 'file_not_found' })
  })

  it.each([true, false])('a file is there as a whole or not at all: %s', async (rowsWritten) => {
    const { files, folder, backend, open, store } = await setUp()
    backend.failNext = { error: new Error('no disk'), rowsWritten }
    await expect(send(files, 'ann', png(1))).rejects.toMatchObject({ code: 'storage_failed' })
    await store.close()
    const again = await open()
    await again.files.swept
    const records = await all(again.files, 'ann')
    expect(records.length).toBe(rowsWritten ? 1 : 0)
    for (const record of records) expect(await contentOf(again.files, record)).toEqual(png(1))
    expect(await onDisk(folder)).toEqual(records.map(({ sha256 }) => sha256))
  })
})

type Step =
  | { do: 'send'; account: string; content: number }
  | { do: 'delete'; account: string; which: number }
  | { do: 'begin'; account: string; content: number }
  | { do: 'restart' }

const account = fc.constantFrom('ann', 'bob', 'cat')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('send' as const), account, content: fc.nat(3) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('delete' as const), account, which: fc.nat(9) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('begin' as const), account, content: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
)

describe('whatever is sent and deleted, and whenever the peer goes down', () => {
  it('the disk has what the files of all accounts have, and each its own', async () => {
    const contents = [png(1), png(2), wav(800), mp4()]
    const kinds = ['image', 'image', 'audio', 'video'] as const
    const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const set = await setUp()
      let { files, store } = set
      const expected = new Map<string, FileRecord>()
      const abandoned: Upload[] = []
      // Several at a time, as requests come.
      for (let at = 0; at < steps.length; at += 4) {
        const some = steps.slice(at, at + 4)
        const taken = new Set<string>()
        const run = async (each: Step): Promise<void> => {
          if (each.do === 'restart') return store.close()
          if (each.do === 'delete') {
            const own = [...expected.values()].filter((one) => one.account === each.account)
            const id = own[each.which % Math.max(1, own.length)]?.id
            if (id === undefined || taken.has(id)) return
            taken.add(id)
            await files.delete(each.account, id)
            expected.delete(id)
            return
          }
          const bytes = contents[each.content] as Buffer
          if (each.do === 'begin') {
            const upload = await files.begin(each.account)
            abandoned.push(upload)
            await upload.write(bytes)
            return
          }
          const details: FileDetails = { kind: kinds[each.content] ?? 'image', filename: 'x' }
          const record = await send(files, each.account, bytes, details)
          expected.set(record.id, record)
        }
        // What comes too late before the end is refused, and leaves nothing.
        const ends = await Promise.allSettled(some.map(run))
        const isDown = some.some((each) => each.do === 'restart')
        expect(isDown || ends.every(({ status }) => status === 'fulfilled')).toBe(true)
        if (isDown) ({ files, store } = await set.open())
      }
      await store.close()
      ;({ files, store } = await set.open())
      await files.swept
      for (const name of ['ann', 'bob', 'cat']) {
        const own = [...expected.values()].filter((one) => one.account === name)
        expect(await all(files, name)).toEqual(own.sort((a, b) => (a.id < b.id ? -1 : 1)))
      }
      const hashes = new Set([...expected.values()].map(({ sha256 }) => sha256))
      expect(await onDisk(set.folder)).toEqual([...hashes].sort())
      expect(await usesIn(store)).toEqual(
        [...expected.values()].map(({ sha256, id }) => `${sha256}/${id}`).sort(),
      )
      // A process that went down has no open files.
      for (const upload of abandoned) await upload.discard()
    })
    // Each run writes dozens of files to the disk.
    await fc.assert(property, { numRuns: Math.ceil((fc.readConfigureGlobal().numRuns ?? 60) / 3) })
  })
})

async function usesIn(store: Store): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of store.table('files-uses', fileUses).range()) keys.push(key)
  return keys
}
