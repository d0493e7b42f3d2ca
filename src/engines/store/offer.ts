import { stat } from 'node:fs/promises'
import { basename, posix } from 'node:path'
import { InvalidError, messageOf } from '../../base/errors.ts'
import { modelShards } from '../model-shards.ts'
import type { Hub } from './hub.ts'
import { decoded, type ModelSource } from './model-source.ts'
import type { RemoteModel } from './remote-file.ts'

/** What a source offers, before any of it is fetched. */
export async function offerOf(
  source: ModelSource,
  hub: Hub,
  signal: AbortSignal,
): Promise<RemoteModel> {
  const offer =
    source.type === 'hub' ? await hub.find(source, signal) : { files: await filesOf(source) }
  return { ...offer, files: offer.files.map((file) => ({ ...file, name: plain(file.name) })) }
}

async function filesOf(source: Exclude<ModelSource, { type: 'hub' }>) {
  if (source.type === 'web') {
    const { pathname } = new URL(source.url)
    return modelShards(pathname).map((path) => {
      const url = new URL(source.url)
      url.pathname = path
      const name = decoded(posix.basename(path))
      return { name: /\.gguf$/i.test(name) ? name : 'model.gguf', url: url.href }
    })
  }
  return await Promise.all(
    modelShards(source.path).map(async (path) => {
      const found = await stat(path).catch((error: unknown) => {
        throw new InvalidError('model', `Cannot read ${path}: ${messageOf(error)}.`)
      })
      if (!found.isFile()) throw new InvalidError('model', `${path} is not a file.`)
      return { name: basename(path), url: path, sizeBytes: found.size }
    }),
  )
}

/** What every file system takes, and no note of the store is called: the hub's names are anybody's. */
function plain(name: string): string {
  const safe = name.replace(/[^\w.-]/g, '_').replace(/^[.-]+/, '')
  const model = /\.gguf$/i.test(safe) ? safe : `${safe || 'model'}.gguf`
  return model.slice(-200)
}

/** `Phi-4-Q4_K_M` for `Phi-4-Q4_K_M-00001-of-00002.gguf`. */
export function stemOf(file: string): string {
  return basename(file)
    .replace(/\.gguf$/i, '')
    .replace(/-\d{5}-of-\d{5}$/, '')
}
