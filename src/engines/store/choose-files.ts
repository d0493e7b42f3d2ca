import { PeerError } from '../../base/errors.ts'
import { modelShards } from '../model-shards.ts'
import type { HubSource } from './model-source.ts'

/** A file as the hub lists it. */
export interface ListedFile {
  /** In the repo. */
  path: string
  sizeBytes: number
  /** Of what the hub keeps outside of git, as it does with everything large. */
  sha256?: string
}

/** Without a quant: what most people take, a small one before a large one. */
const usual: readonly string[] = ['Q4_K_M', 'Q4_K_S', 'Q4_0', 'Q5_K_M', 'Q6_K', 'Q8_0', 'F16']
/** Lie beside models and are none: projectors of pictures, and statistics for quantising. */
const beside = /(^|\/)(mmproj|imatrix)[^/]*$|imatrix\.gguf$/i
const part = /-(\d{5})-of-\d{5}\.gguf$/i
const quantTag = /(?:^|[-._/])((?:UD-)?(?:I?Q\d\w*|BF16|F16|FP16|F32|MXFP4\w*))(?=$|[-._/])/gi
const SHOWN_MAX = 20

/** The files of the model that is meant, in their order; throws where there is none. */
export function chooseFiles(source: HubSource, listed: readonly ListedFile[]): ListedFile[] {
  const models = listed.filter(({ path }) => /\.gguf$/i.test(path) && !beside.test(path))
  const heads = models.filter(({ path }) => Number(part.exec(path)?.[1] ?? 1) === 1)
  const head = source.file === undefined ? byQuant(source, heads) : named(source, listed)
  const byPath = new Map(listed.map((file) => [file.path, file]))
  return modelShards(head.path).map((path) => {
    const found = byPath.get(path)
    if (found !== undefined) return found
    throw missing(`${source.repo} has only a part of ${head.path}: ${path} is not there.`)
  })
}

function named({ repo, file = '' }: HubSource, listed: readonly ListedFile[]): ListedFile {
  const found = listed.find(({ path }) => path === file)
  if (found !== undefined) return found
  throw missing(`${repo} has no file ${file}. Look at its page for what it has.`)
}

function byQuant({ repo, quant }: HubSource, heads: readonly ListedFile[]): ListedFile {
  if (heads.length === 0) {
    throw missing(
      `${repo} has no GGUF files. Look for a repo whose name ends with -GGUF: it has the same model.`,
    )
  }
  const wanted = quant === undefined ? usual : [quant]
  for (const tag of wanted) {
    const fits = heads.filter(({ path }) => tagsOf(path).includes(tag))
    // `UD-Q4_K_M` is a Q4_K_M of another kind: the plain one has the shorter name.
    const [first] = fits.toSorted((a, b) => a.path.length - b.path.length || compare(a, b))
    if (first !== undefined) return first
  }
  const [only] = heads
  if (quant === undefined && heads.length === 1 && only !== undefined) return only
  const there = [...new Set(heads.flatMap(({ path }) => tagsOf(path).slice(0, 1)))]
  const list = (there.length > 0 ? there : heads.map(({ path }) => path)).slice(0, SHOWN_MAX)
  throw missing(
    `${repo} has no ${quant ?? 'usual quant'}. It has ${list.join(', ')}: say hf:${repo}:QUANT.`,
  )
}

/** `UD-Q4_K_XL` and `Q4_K_XL` of a file so called, upper case. */
function tagsOf(path: string): string[] {
  const stem = path.replace(part, '').replace(/\.gguf$/i, '')
  return [...stem.matchAll(quantTag)].flatMap(([, tag = '']) => {
    const upper = tag.toUpperCase()
    return upper.startsWith('UD-') ? [upper, upper.slice('UD-'.length)] : [upper]
  })
}

const compare = (a: ListedFile, b: ListedFile): number => (a.path < b.path ? -1 : 1)

const missing = (message: string): PeerError => new PeerError('model_not_on_hub', message)
