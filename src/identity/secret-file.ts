import { constants } from 'node:fs'
import { link, mkdir, open, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { messageOf, PeerError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { syncFolder } from '../base/sync-folder.ts'

/** A file with a secret that can't be used. `code` says whether its rights, content or place. */
export class SecretFileError extends PeerError {
  readonly path: string

  constructor(
    code: 'secret_file_rights' | 'secret_file_invalid' | 'secret_file_unavailable',
    path: string,
    message: string,
    cause?: unknown,
  ) {
    super(code, message, { cause })
    this.path = path
  }
}

/** How the secret is written down. `parse` throws, in words for people, on what it can't read. */
export interface SecretFormat<T> {
  parse(text: string): T
  print(secret: T): string
}

/** A key and its comment take less than 1 KiB: what is larger is another file. */
const SECRET_BYTES_MAX = 4096

/**
 * The secret in the file at `path`; made and written there first when there is none. Of several
 * processes that start at once, all come back with the one that got written.
 */
export async function loadOrCreateSecret<T>(
  path: string,
  format: SecretFormat<T>,
  make: () => T,
  random: Random,
): Promise<T> {
  try {
    const found = await readSecret(path, format)
    if (found !== undefined) {
      await removeDrafts(path)
      return found
    }
    const secret = make()
    if (await createFile(path, format.print(secret), random)) return secret
    const theirs = await readSecret(path, format)
    if (theirs !== undefined) return theirs
  } catch (error) {
    if (error instanceof SecretFileError) throw error
    throw unavailable(path, error)
  }
  throw unavailable(path, new Error('it appears and disappears'))
}

/** The same without making one: undefined where there is none. */
export async function readSecret<T>(path: string, format: SecretFormat<T>): Promise<T | undefined> {
  const text = await readText(path)
  if (text === undefined) return undefined
  try {
    return format.parse(text)
  } catch (error) {
    throw new SecretFileError(
      'secret_file_invalid',
      path,
      `${path} can't be used: ${messageOf(error)} ` +
        'Restore it from a backup, or move it away to have a new one made.',
      error,
    )
  }
}

async function readText(path: string): Promise<string | undefined> {
  // Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > SECRET_BYTES_MAX) {
      throw new SecretFileError(
        'secret_file_invalid',
        path,
        `${path} is not a key file. Move it away, or use another --data-dir.`,
      )
    }
    // Windows has no such bits; there the user's profile folder is what keeps others out.
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      throw new SecretFileError(
        'secret_file_rights',
        path,
        `${path} can be read or changed by other users of this machine. ` +
          `If nobody else has used it: chmod 600 '${path}'. Otherwise move it away to get a new one.`,
      )
    }
    const bytes = Buffer.alloc(SECRET_BYTES_MAX + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    return bytes.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/**
 * Whole or not at all, even when the machine stops in between, and never over another file.
 * False when there is one already.
 */
async function createFile(path: string, text: string, random: Random): Promise<boolean> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const suffix = Buffer.from(random.bytes(8)).toString('hex')
  const draft = join(folder, draftPrefix(path) + suffix + draftEnd)
  try {
    await writeDurably(draft, text)
    // Unlike a rename, a link refuses to replace what is there.
    const created = await unlessExists(link(draft, path).catch(orWrite(path, text)))
    await syncFolder(folder)
    return created
  } catch (error) {
    // The draft was swept away by a process that already has the file: look at that one.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

const draftPrefix = (path: string): string => `.${basename(path)}.`
const draftEnd = '.tmp'

/** A process killed while it wrote the file left its draft, which is a secret too. */
async function removeDrafts(path: string): Promise<void> {
  const folder = dirname(path)
  for (const name of await readdir(folder)) {
    if (!name.startsWith(draftPrefix(path)) || !name.endsWith(draftEnd)) continue
    await rm(join(folder, name), { force: true })
  }
}

/** Some file systems have no links: there the file is written in place, still exclusively. */
function orWrite(path: string, text: string): (error: NodeJS.ErrnoException) => Promise<void> {
  return async (error) => {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(error.code ?? '')) throw error
    await writeDurably(path, text)
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function unlessExists(creation: Promise<void>): Promise<boolean> {
  try {
    await creation
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function unavailable(path: string, cause: unknown): SecretFileError {
  return new SecretFileError(
    'secret_file_unavailable',
    path,
    `${path} can't be read or written: ${messageOf(cause)}. ` +
      'Check that the data folder belongs to you and is writable.',
    cause,
  )
}
