import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FileLinks } from '../../src/accounts/files/file-links.ts'
import { FileStore, type FileStoreOptions } from '../../src/accounts/files/file-store.ts'
import { scopes } from '../../src/accounts/principal.ts'
import type { HttpOptions } from '../../src/api/http-options.ts'
import { fileRoutes } from '../../src/api/product/files.ts'
import { mounted } from '../../src/api/route.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { PeerError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openMemoryStore } from '../../src/storage/store.ts'
import { tempDir } from '../storage/temp-dir.ts'
import { form, formType, type Part } from './form.ts'
import { startServer } from './harness.ts'

/** `sk-ann` and `sk-bob` may do everything with the files of their accounts; `sk-looker` may look. */
function verify(secret: string) {
  const account = secret.replace(/^sk-/, '')
  if (secret === 'sk-looker') {
    return { keyId: secret, account: 'ann', scopes: new Set(['files:read'] as const) }
  }
  if (!['ann', 'bob'].includes(account)) throw new PeerError('invalid_api_key', 'Unknown key.')
  return { keyId: secret, account, scopes: new Set(scopes) }
}

export interface FileJson {
  id: string
  url: string
  [key: string]: unknown
}

/** The file endpoints on a real server and a real disk. */
export async function startFileServer(
  options: Partial<FileStoreOptions> = {},
  http: Partial<HttpOptions> = {},
) {
  const folder = join(await tempDir(), 'files')
  const time = { ahead: 0 }
  const clock: Clock = { ...systemClock, now: () => Date.now() + time.ahead }
  const store = await openMemoryStore({ logger: silentLogger })
  const parts = { store, clock, random: systemRandom, logger: silentLogger }
  const files = await FileStore.open(folder, parts, options)
  const links = new FileLinks({ secret: new Uint8Array(32).fill(7), clock })
  const routes = mounted(fileRoutes({ files, links }), '/api/v1')
  const server = await startServer([routes], { ...http, keys: { verify } })
  const url = `${server.url}/api/v1`
  const as = (key: string) => ({ authorization: `Bearer sk-${key}` })
  const send = (parts: readonly Part[], key = 'ann', end?: string) =>
    fetch(`${url}/files`, {
      method: 'POST',
      headers: { ...as(key), ...formType },
      body: form(parts, end) as BodyInit,
    })
  return {
    ...{ ...server, url, files, folder, time, as, send },
    get: (path: string, key = 'ann', headers: Record<string, string> = {}) =>
      fetch(`${url}${path}`, { headers: { ...as(key), ...headers } }),
    /** Of all that was ever sent, what is still on the disk. */
    async onDisk(): Promise<string[]> {
      const names = await readdir(folder, { recursive: true, withFileTypes: true })
      return names.filter((entry) => entry.isFile()).map(({ name }) => name)
    },
  }
}

export const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string } }).error
