import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileStore } from '../../src/accounts/files/file-store.ts'
import { gathered } from '../../src/backup/gather.ts'
import { encodeRecords } from '../../src/backup/records.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { readIdentity } from '../../src/identity/key-file.ts'
import { openStore } from '../../src/storage/store.ts'
import { jpeg, png } from '../accounts/files/media-files.ts'
import { tempDir } from '../storage/temp-dir.ts'
import { bytesOf } from './records-shown.ts'
import { backUp, contentOf, dataFolder, restoreTo, sha256, signal } from './stage.ts'

/** A peer that runs on a folder, as far as its store and its files. */
async function running() {
  const home = await tempDir()
  const dir = await dataFolder(join(home, 'peer'))
  const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const store = await openStore(dir, parts)
  const files = await FileStore.open(join(dir, 'files'), { ...parts, store })
  await files.swept
  const upload = async (content: Uint8Array) => {
    const coming = await files.begin('alice')
    await coming.write(content)
    return files.keep('alice', coming, { kind: 'image', filename: 'a' })
  }
  const peerId = (await readIdentity(dir))?.peerId ?? ''
  const told = (more: { peerId?: string; signal?: AbortSignal } = {}) =>
    gathered(
      { store, files, clock: systemClock },
      { folder: dir, program: '0.1.0', peerId, signal, ...more },
    )
  const close = async () => {
    await files.close()
    await store.close()
  }
  const file = join(home, 'peer.backup')
  return { dir, file, target: join(home, 'again'), files, upload, told, close }
}

const contentAt = (dir: string, content: Uint8Array) => {
  const hash = sha256(content)
  const path = join(dir, 'files', hash.slice(0, 2), hash)
  return existsSync(path) ? readFileSync(path) : undefined
}

describe('a backup of a running peer', () => {
  it('has the bytes of each file of its rows, also of one that is deleted meanwhile', async () => {
    const peer = await running()
    const [deleted, kept, late] = [png(1, 5_000), jpeg(2), png(3, 900)]
    const { id } = await peer.upload(deleted)
    await peer.upload(kept)
    const live = async function* () {
      for await (const record of peer.told()) {
        if (record.type === 'manifest') {
          yield record
          continue
        }
        if (record.type === 'row' && contentAt(peer.dir, late) === undefined) {
          await peer.files.delete('alice', id)
          await peer.upload(late)
        }
        yield record
      }
    }
    await backUp(peer.dir, peer.file, { live: async () => encodeRecords(live()) })
    // Nobody reads it any more, and nobody has it.
    await expect.poll(() => contentAt(peer.dir, deleted)).toBeUndefined()
    await restoreTo(peer.target, peer.file)
    expect(contentAt(peer.target, deleted)).toEqual(Buffer.from(deleted))
    expect(contentAt(peer.target, kept)).toEqual(Buffer.from(kept))
    const { rows } = await contentOf(peer.target)
    const names = Object.keys(rows).map((key) => Buffer.from(key, 'hex').toString('latin1'))
    expect(names.filter((name) => name.startsWith('\u0005files'))).toHaveLength(2)
    await peer.close()
  })

  it('holds nothing back once it was broken off', async () => {
    const peer = await running()
    const content = png(1, 5_000)
    const { id } = await peer.upload(content)
    for await (const record of peer.told()) if (record.type === 'row') break
    const end = new AbortController()
    const cut = async () => {
      for await (const _record of peer.told({ signal: end.signal })) end.abort()
    }
    await expect(cut()).rejects.toThrow('abort')
    await peer.files.delete('alice', id)
    expect(contentAt(peer.dir, content)).toBeUndefined()
    await peer.close()
  })

  it('is not written where the peer ends in the middle, is another one, or talks nonsense', async () => {
    const peer = await running()
    const whole = await bytesOf(encodeRecords(peer.told()))
    const { peerId: other } = await backUp(
      await dataFolder(join(await tempDir(), 'x')),
      join(await tempDir(), 'x'),
    )
    const wrong: AsyncIterable<Uint8Array>[] = [
      pieces(whole.subarray(0, whole.length - 100)),
      pieces(whole.subarray(0, 0)),
      pieces(Buffer.from('<html>')),
      pieces(Buffer.concat([whole, whole])),
      encodeRecords(peer.told({ peerId: other })),
    ]
    for (const live of wrong) {
      const refused = backUp(peer.dir, peer.file, { live: async () => live })
      await expect(refused).rejects.toMatchObject({ code: 'backup_failed' })
      expect(existsSync(peer.file)).toBe(false)
    }
    await peer.close()
  })
})

async function* pieces(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000)
}
