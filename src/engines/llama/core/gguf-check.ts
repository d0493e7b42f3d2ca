import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { type GgufFileInfo, readGgufFileInfo } from 'node-llama-cpp'
import { PeerError } from '../../../base/errors.ts'
import type { ModelKind } from '../../engine.ts'
import { modelShards } from '../../model-shards.ts'
import type { NativeLibrary } from './binding.ts'
import { headFault } from './gguf-walk.ts'

export interface CheckedFile {
  kind: ModelKind
  architecture: string
  sizeBytes: number
}

/** GGUF's pooling types. */
const pooling = { none: 0, rank: 4 } as const

/** What llama.cpp reads; the library's own reader takes any number for the newest. */
const readableVersions = [2, 3]
/** llama.cpp asserts these for every architecture, or for the families of this name. */
const requiredKeys = ['context_length', 'embedding_length', 'block_count']
const transformerKeys = ['feed_forward_length', 'attention.head_count']
const transformers = /^(llama|qwen|gemma|phi|mistral|smollm|granite|olmo)/

export interface FileHead {
  name: string
  sizeBytes: number
  info: GgufFileInfo
}

export async function readHead(path: string): Promise<FileHead> {
  const name = basename(path)
  const file = await stat(path).catch(() => undefined)
  if (!file?.isFile()) {
    throw new PeerError('model_file_missing', `There is no model file ${name}. Check its path.`)
  }
  await checkHeads(path)
  const info = await readGgufFileInfo(path, { logWarnings: false, sourceType: 'filesystem' }).catch(
    (): never => {
      throw invalid(name, 'It is not a GGUF file, or its head is damaged.')
    },
  )
  return { name, sizeBytes: file.size, info }
}

/** Of each of its files, as the library reads the heads of all of them. */
async function checkHeads(path: string): Promise<void> {
  for (const shard of modelShards(path)) {
    const found = await stat(shard).catch(() => undefined)
    // One that is missing is told of by the library.
    if (found === undefined) continue
    // Whoever opens a pipe waits for its writer.
    if (!found.isFile()) throw invalid(basename(shard), 'It is not a file.')
    await checkClaims(shard, found.size)
  }
}

async function checkClaims(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0)
  // What has another beginning is refused by the library at once.
  if (bytesRead < 8 || buffer.toString('latin1', 0, 4) !== 'GGUF') return
  const version = buffer.readUInt32LE(4)
  if (!readableVersions.includes(version)) {
    throw invalid(basename(path), `It has version ${version} of the format.`)
  }
  const fault = await headFault(file, sizeBytes)
  if (fault !== undefined) throw invalid(basename(path), fault)
}

/**
 * Finds out cheaply whether a file can be a model at all. llama.cpp ends the whole process on some
 * malformed files; most of them get a proper answer here.
 */
export function checkHead(
  { name, sizeBytes, info }: FileHead,
  library: NativeLibrary,
): CheckedFile {
  const architecture: unknown = info.metadata.general?.architecture
  if (typeof architecture !== 'string') throw invalid(name, 'It names no architecture.')
  if (!library.isArchitectureSupported(architecture)) {
    throw new PeerError(
      'model_unsupported',
      `${name} has the architecture ${architecture.slice(0, 60)}, which this engine cannot run.`,
    )
  }
  checkMetadata(name, architecture, info)
  if (info.splicedParts === 1) checkTensors(name, sizeBytes, info, library)
  return { kind: kindOf(name, architecture, info), architecture, sizeBytes }
}

function checkMetadata(name: string, architecture: string, info: GgufFileInfo): void {
  const needed = transformers.test(architecture)
    ? [...requiredKeys, ...transformerKeys]
    : requiredKeys
  const missing = needed.filter(
    (key) => valueAt(info.metadata, [architecture, ...key.split('.')]) === undefined,
  )
  for (const key of ['model', 'tokens']) {
    if (valueAt(info.metadata, ['tokenizer', 'ggml', key]) === undefined) {
      missing.push(`tokenizer.ggml.${key}`)
    }
  }
  if (missing.length > 0) throw invalid(name, `It lacks ${missing.join(', ')}.`)
}

function checkTensors(
  name: string,
  sizeBytes: number,
  info: GgufFileInfo,
  library: NativeLibrary,
): void {
  const tensors = info.fullTensorInfo ?? []
  if (tensors.length === 0) throw invalid(name, 'It holds no tensors.')
  for (const tensor of tensors) {
    const elements = tensor.dimensions.reduce<number>((product, size) => product * Number(size), 1)
    const bytes = library.tensorBytes(tensor.ggmlType, elements)
    if (bytes === undefined || !Number.isFinite(bytes)) {
      throw invalid(name, 'It holds a tensor of an unknown type.')
    }
    if (Number(tensor.fileOffset) + bytes > sizeBytes) {
      throw invalid(name, 'It is cut off: tensors lie beyond its end.')
    }
  }
}

/** By what the file says about itself: embedding models name how they pool, or look both ways. */
function kindOf(name: string, architecture: string, info: GgufFileInfo): ModelKind {
  const type = valueAt(info.metadata, [architecture, 'pooling_type'])
  if (type === pooling.rank) {
    throw new PeerError(
      'model_unsupported',
      `${name} is a reranker. Serve a chat or embedding model.`,
    )
  }
  if (typeof type === 'number' && type !== pooling.none) return 'embedding'
  const causal = valueAt(info.metadata, [architecture, 'attention', 'causal'])
  return causal === false ? 'embedding' : 'chat'
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined
    at = Reflect.get(at, key)
  }
  return at
}

function invalid(name: string, why: string): PeerError {
  return new PeerError(
    'model_file_invalid',
    `${name} is not a usable model file. ${why} Fetch it again.`,
  )
}
