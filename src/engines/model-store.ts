import { createHash } from 'node:crypto'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidError, messageOf } from '../base/errors.ts'
import { packageRoot } from '../base/package-root.ts'

/** A model file that was found, and the name it is served under. */
export interface ModelFile {
  name: string
  path: string
  /** One of ours, that shows that a peer works. */
  demo: boolean
}

export interface WantedModels {
  models: readonly { name: string; path: string }[]
  /** Serve the built-in demo models too. */
  demo: boolean
}

const demoFiles = {
  'pinaivu-demo': 'pinaivu-demo-q8_0.gguf',
  'pinaivu-demo-embed': 'pinaivu-demo-embed-q8_0.gguf',
}

const MAGIC = Buffer.from('GGUF')
/** Both ends of a file: the header with all names and shapes, and the end of the last tensor. */
const IDENTITY_BYTES = 1024 * 1024

/** The files behind the configured models; throws an InvalidError that names the first bad one. */
export async function findModels(wanted: WantedModels): Promise<ModelFile[]> {
  const found = listModels(wanted)
  for (const { path } of found) await assertModelFile(path)
  return found
}

/** The same without a look at the files; throws an InvalidError where two have one name. */
export function listModels(wanted: WantedModels): ModelFile[] {
  const found: ModelFile[] = wanted.models.map(({ name, path }) => ({ name, path, demo: false }))
  if (wanted.demo) {
    const folder = join(packageRoot(), 'models')
    for (const [name, file] of Object.entries(demoFiles)) {
      found.push({ name, path: join(folder, file), demo: true })
    }
  }
  const names = new Set<string>()
  for (const { name, path } of found) {
    if (names.has(name)) {
      throw new InvalidError('model', `Two models are called "${name}". Name one: NAME=${path}`)
    }
    names.add(name)
  }
  return found
}

/**
 * Tells files apart without reading all of them: what was measured with one must not be believed of
 * another. No proof against somebody who wants two files to look alike.
 */
export async function fileIdentity(path: string): Promise<string> {
  await using file = await open(path)
  const { size, mtimeMs } = await file.stat()
  const hash = createHash('sha256')
  hash.update(await readAt(file, 0, IDENTITY_BYTES))
  hash.update(await readAt(file, Math.max(0, size - IDENTITY_BYTES), IDENTITY_BYTES))
  return `${size}-${Math.floor(mtimeMs)}-${hash.digest('hex')}`
}

async function assertModelFile(path: string): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new InvalidError('model', `Cannot read ${path}: ${messageOf(error)}.`)
  })
  if (!stats.isFile()) {
    throw new InvalidError('model', `${path} is not a file. Give the path of a .gguf file.`)
  }
  if (path.toLowerCase().endsWith('.gguf')) return
  await using file = await open(path)
  if (!MAGIC.equals(await readAt(file, 0, MAGIC.length))) {
    throw new InvalidError('model', `${path} is not a GGUF file.`)
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
