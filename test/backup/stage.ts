import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createBackup } from '../../src/backup/create-backup.ts'
import type { Cost } from '../../src/backup/header.ts'
import { restoreBackup } from '../../src/backup/restore-backup.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { loadIdentity } from '../../src/identity/key-file.ts'
import { bytesValue, textKey } from '../../src/storage/codec.ts'
import { RawStore } from '../../src/storage/raw-store.ts'
import { openStore } from '../../src/storage/store.ts'

/** Of scrypt, for tests that derive hundreds of keys. */
export const cheap: Cost = { logN: 1, r: 1, p: 1 }
export const PASSPHRASE = 'correct horse'
export const { signal } = new AbortController()

const plain = { key: textKey, value: bytesValue }

/** A data folder as a peer leaves it: keys, rows, files, and what is no part of a backup. */
export async function dataFolder(dir: string, { rows = 20, more = '' } = {}): Promise<string> {
  await loadIdentity(dir, { random: systemRandom })
  writeFileSync(join(dir, 'owner.key'), `sk-pnv-owner${more}\n`, { mode: 0o600 })
  writeFileSync(join(dir, 'config.toml'), 'region = "DE"\n')
  writeFileSync(join(dir, 'peer.json'), '{}')
  const store = await openStore(dir, { logger: silentLogger })
  const batch = store.batch()
  for (let n = 0; n < rows; n++) {
    batch.put(store.table('things', plain), `${n}`, new Uint8Array(n * 37).fill(n))
  }
  batch.put(store.table('calibrations', plain), 'here', Uint8Array.of(1))
  batch.put(store.table('model-ids', plain), 'here', Uint8Array.of(1))
  await store.commit(batch)
  await store.close()
  for (const content of ['', 'a file', 'x'.repeat(200_000)]) blob(dir, Buffer.from(content + more))
  return dir
}

export function blob(dir: string, content: Uint8Array, name = sha256(content)): string {
  const folder = join(dir, 'files', name.slice(0, 2))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

export const sha256 = (content: Uint8Array): string =>
  createHash('sha256').update(content).digest('hex')

type Options<T extends (options: never) => unknown> = Partial<Parameters<T>[0]>

export const backUp = (dataDir: string, file: string, more: Options<typeof createBackup> = {}) =>
  createBackup({
    ...{ file, dataDir, force: false, program: '0.1.0', signal, cost: cheap },
    passphrase: async () => PASSPHRASE,
    ...more,
  })

export const restoreTo = (
  dataDir: string,
  file: string,
  more: Options<typeof restoreBackup> = {},
) =>
  restoreBackup({
    ...{ file, dataDir, force: false, signal },
    passphrase: async () => PASSPHRASE,
    ...more,
  })

/** All that counts in a data folder: its files by path, and its rows by key in hex. */
export async function contentOf(dir: string, without: readonly string[] = []) {
  const rows: Record<string, string> = {}
  const store = await RawStore.open(dir)
  try {
    const snapshot = await store.snapshot({ without, signal })
    for await (const [key, value] of snapshot.rows) rows[hex(key)] = hex(value)
  } finally {
    await store.close()
  }
  const files: Record<string, string> = {}
  for (const path of await readdir(dir, { recursive: true })) {
    const at = join(dir, path)
    if (path.startsWith('store') || !(await stat(at)).isFile()) continue
    files[path] = sha256(await readFile(at))
  }
  return { rows, files }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
