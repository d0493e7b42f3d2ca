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
  /** The file of a small model that drafts for it. */
  draft?: string
  /** `cid:…`, where it is known before the file is read. */
  id?: string
}

export interface WantedModels {
  models: readonly { name: string; path: string; id?: string }[]
  /** Small models that draft for these; without a name, for the only one. */
  drafts?: readonly { model?: string; path: string }[]
  /** Serve the built-in demo models too. */
  demo: boolean
}

const demoFiles: Readonly<Record<string, { file: string; draft?: string }>> = {
  'pinaivu-demo': { file: 'pinaivu-demo-q8_0.gguf', draft: 'pinaivu-demo-draft-q8_0.gguf' },
  'pinaivu-demo-embed': { file: 'pinaivu-demo-embed-q8_0.gguf' },
}

const MAGIC = Buffer.from('GGUF')
/** Both ends of a file: the header with all names and shapes, and the end of the last tensor. */
const IDENTITY_BYTES = 1024 * 1024

/** The files behind the configured models; throws an InvalidError that names the first bad one. */
export async function findModels(wanted: WantedModels): Promise<ModelFile[]> {
  const found = listModels(wanted)
  for (const { path, draft } of found) {
    await assertModelFile(path)
    if (draft !== undefined) await assertModelFile(draft, 'draft')
  }
  return found
}

/** The same without a look at the files; throws an InvalidError where two have one name. */
export function listModels(wanted: WantedModels): ModelFile[] {
  const found: ModelFile[] = wanted.models.map(({ name, path, id }) => ({
    ...{ name, path, demo: false },
    ...(id === undefined ? {} : { id }),
  }))
  if (wanted.demo) {
    const folder = join(packageRoot(), 'models')
    for (const [name, { file, draft }] of Object.entries(demoFiles)) {
      const drafted = draft === undefined ? {} : { draft: join(folder, draft) }
      found.push({ name, path: join(folder, file), demo: true, ...drafted })
    }
  }
  const names = new Set<string>()
  for (const { name, path } of found) {
    if (names.has(name)) {
      throw new InvalidError('model', `Two models are called "${name}". Name one: NAME=${path}`)
    }
    names.add(name)
  }
  for (const each of wanted.drafts ?? []) draftedBy(found, each).draft = each.path
  return found
}

/** The model that this one drafts for; throws an InvalidError where there is none. */
function draftedBy(
  models: readonly ModelFile[],
  { model: name, path }: { model?: string; path: string },
): ModelFile {
  const own = models.filter((model) => !model.demo)
  const meant = name === undefined ? own : models.filter((model) => model.name === name)
  const [model] = meant
  if (meant.length === 1 && model !== undefined) return model
  const which =
    name === undefined
      ? `It is not said which model ${path} drafts for.`
      : `There is no model "${name}" to draft for.`
  throw new InvalidError('draft', `draft: ${which} Use MODEL=FILE, with the name of a --model.`)
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

async function assertModelFile(path: string, setting = 'model'): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new InvalidError(setting, `Cannot read ${path}: ${messageOf(error)}.`)
  })
  if (!stats.isFile()) {
    throw new InvalidError(setting, `${path} is not a file. Give the path of a .gguf file.`)
  }
  if (path.toLowerCase().endsWith('.gguf')) return
  await using file = await open(path)
  if (!MAGIC.equals(await readAt(file, 0, MAGIC.length))) {
    throw new InvalidError(setting, `${path} is not a GGUF file.`)
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
