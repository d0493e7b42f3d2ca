import { InvalidError } from '../../base/errors.ts'
import { isLoopback } from '../../base/loopback.ts'
import { knownModel } from './known-models.ts'

/** Where a model comes from. */
export type ModelSource = HubSource | WebSource | FileSource

export interface HubSource {
  type: 'hub'
  /** `ORG/REPO`. */
  repo: string
  /** Branch, tag or commit. */
  revision: string
  /** `Q4_K_M`. With neither this nor a file the hub's usual one is meant. */
  quant?: string
  /** The path of a file in the repo, the first one of a split model. */
  file?: string
}

export interface WebSource {
  type: 'web'
  url: string
}

export interface FileSource {
  type: 'file'
  path: string
}

const MAIN = 'main'
/** What the hub's own names are made of; no part of one is a way upwards. */
const hubUri = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?(?::([\w.-]+)|\/([\w./ -]+\.gguf))?$/i
const hubHosts: readonly string[] = ['huggingface.co', 'www.huggingface.co', 'hf.co']
/** A page of the hub: `/ORG/REPO`, perhaps with `/tree/REV`, or with `/blob/REV/FILE`. */
const hubPage = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|blob|resolve)\/([^/]+)(?:\/(.+))?)?\/?$/
const uriMax = 2000

const HOW = 'Give hf:ORG/REPO:QUANT, an https:// address or the path of a .gguf file.'

/** Whether a text means a model elsewhere, so that it cannot be a path. */
export const isModelUri = (text: string): boolean => /^(hf|https?|file):/i.test(text)

/** What a URI or a known short name means; undefined for anything else, such as a path. */
export function modelSource(text: string): ModelSource | undefined {
  const uri = knownModel(text) ?? text
  if (uri.length > uriMax) throw new InvalidError(undefined, `this address is too long. ${HOW}`)
  if (/^hf:/i.test(uri)) return hubSource(uri)
  if (/^https?:/i.test(uri)) return webSource(uri)
  if (/^file:/i.test(uri)) return fileSource(uri)
  return undefined
}

/** One text for one thing, by which it is known in the store. */
export function sourceText(source: ModelSource): string {
  if (source.type === 'web') return source.url
  if (source.type === 'file') return `file:${source.path}`
  const { repo, revision, quant, file } = source
  const at = revision === MAIN ? '' : `@${revision}`
  const what = file === undefined ? '' : `/${file}`
  return `hf:${repo}${at}${quant === undefined ? what : `:${quant}`}`
}

function hubSource(text: string): HubSource {
  const [, repo, revision = MAIN, quant, file] = hubUri.exec(text) ?? []
  if (repo === undefined || climbs(repo) || climbs(revision) || climbs(file ?? 'a')) {
    throw new InvalidError(
      undefined,
      `expected hf:ORG/REPO:QUANT, such as hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M, got "${text}".`,
    )
  }
  return {
    ...{ type: 'hub', repo, revision },
    ...(quant === undefined ? {} : { quant: quant.toUpperCase() }),
    ...(file === undefined ? {} : { file }),
  }
}

/** A pasted page of the hub means the file that it shows. */
function webSource(text: string): HubSource | WebSource {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw new InvalidError(undefined, `"${text}" is no address. ${HOW}`)
  if (url.username !== '' || url.password !== '') {
    throw new InvalidError(undefined, `an address with a password in it would be logged. ${HOW}`)
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    throw new InvalidError(undefined, `"${text}" is not encrypted. Use https://.`)
  }
  url.hash = ''
  if (hubHosts.includes(url.hostname)) return pageSource(url, text)
  if (hubPage.test(url.pathname)) url.pathname = url.pathname.replace('/blob/', '/resolve/')
  return { type: 'web', url: url.href }
}

function pageSource(url: URL, text: string): HubSource {
  const [, repo, revision = MAIN, file] = hubPage.exec(decoded(url.pathname)) ?? []
  const isModel = repo !== undefined && !/^(datasets|spaces|api|docs)\//.test(repo)
  if (!isModel || climbs(repo) || climbs(revision) || climbs(file ?? 'a')) {
    throw new InvalidError(undefined, `"${text}" is not a model's page on the hub. ${HOW}`)
  }
  if (file === undefined || !/\.gguf$/i.test(file)) {
    if (!url.pathname.includes('/blob/') && !url.pathname.includes('/resolve/')) {
      return { type: 'hub', repo, revision }
    }
    throw new InvalidError(undefined, `"${text}" is not a .gguf file. ${HOW}`)
  }
  return { type: 'hub', repo, revision, file }
}

function fileSource(text: string): FileSource {
  const rest = text.slice('file:'.length)
  const path = decoded(rest.replace(/^\/\/(localhost)?(?=\/)/, ''))
  if (path === '' || path.startsWith('//') || path.includes('\0')) {
    throw new InvalidError(undefined, `"${text}" names no file of this machine. ${HOW}`)
  }
  return { type: 'file', path }
}

const climbs = (path: string): boolean =>
  path.split('/').some((part) => part === '' || part === '.' || part === '..')

/** As it is where it cannot be decoded. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
