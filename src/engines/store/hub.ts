import { posix } from 'node:path'
import { PeerError } from '../../base/errors.ts'
import { chooseFiles, type ListedFile } from './choose-files.ts'
import { type Answer, ConnectionError, type HttpGet } from './http-get.ts'
import type { HubSource } from './model-source.ts'
import { hashOf, type Licence, type RemoteModel, sizeOf } from './remote-file.ts'

export const defaultHub = 'https://huggingface.co'

/** A repo of many quants has some hundred files; a page of the list has a thousand. */
const PAGES_MAX = 20
const TEXT_MAX = 300
/** The largest repos have some thousand. */
const FILES_MAX = 50_000
const PATH_MAX = 1000

interface Revision {
  commit: string
  licence?: Licence | undefined
}

/**
 * The Hugging Face hub, by its documented API: `/api/models/REPO/revision/REV` tells the commit and the
 * licence, `/api/models/REPO/tree/COMMIT` the files with their SHA-256, `/REPO/resolve/COMMIT/FILE` is one.
 */
export class Hub {
  readonly #http: HttpGet
  readonly #endpoint: string

  constructor(http: HttpGet, endpoint: string) {
    this.#http = http
    this.#endpoint = endpoint.replace(/\/+$/, '')
  }

  async find(source: HubSource, signal: AbortSignal): Promise<RemoteModel> {
    const { repo } = source
    const { commit, licence } = await this.#revision(source, signal)
    const listed = await this.#tree(repo, commit, signal)
    const files = chooseFiles(source, listed).map(({ path, sizeBytes, sha256 }) => ({
      name: posix.basename(path),
      url: `${this.#endpoint}/${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`,
      sizeBytes,
      sha256,
    }))
    return { files, commit, licence }
  }

  async #revision({ repo, revision }: HubSource, signal: AbortSignal): Promise<Revision> {
    const path = `/api/models/${repo}/revision/${encodeURIComponent(revision)}`
    const { value } = await this.#json(path, repo, signal)
    const { sha, cardData } = fieldsOf(value)
    if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha)) throw notTheHub(this.#endpoint)
    return { commit: sha, licence: this.#licence(repo, fieldsOf(cardData)) }
  }

  #licence(repo: string, card: Record<string, unknown>): Licence | undefined {
    const { license, license_name: name, license_link: link } = card
    const known = Array.isArray(license) ? license[0] : license
    const id = known === 'other' && typeof name === 'string' ? name : known
    if (typeof id !== 'string' || id === '') return undefined
    const isAddress = typeof link === 'string' && URL.canParse(link)
    const at = isAddress ? link : `${this.#endpoint}/${repo}`
    return { id: id.slice(0, TEXT_MAX), link: at.slice(0, TEXT_MAX) }
  }

  async #tree(repo: string, commit: string, signal: AbortSignal): Promise<ListedFile[]> {
    const files: ListedFile[] = []
    let path: string | undefined = `/api/models/${repo}/tree/${commit}?recursive=true`
    for (let page = 0; path !== undefined && page < PAGES_MAX; page++) {
      const { value, next } = await this.#json(path, repo, signal)
      if (!Array.isArray(value)) throw notTheHub(this.#endpoint)
      for (const entry of value) files.push(...(listedFile(entry) ?? []))
      if (files.length > FILES_MAX) {
        throw new PeerError(
          'download_failed',
          `${repo} lists more files than any model has. Take the model from another repo.`,
        )
      }
      path = next
    }
    return files
  }

  async #json(path: string, repo: string, signal: AbortSignal) {
    const answer = await this.#http.get(`${this.#endpoint}${path}`, { signal })
    if (answer.status !== 200) {
      answer.drop()
      throw refusal(answer, repo)
    }
    const text = await this.#http.text(answer)
    try {
      return { value: JSON.parse(text) as unknown, next: this.#next(answer) }
    } catch {
      throw notTheHub(this.#endpoint)
    }
  }

  /** Of a long list: `<https://…?cursor=…>; rel="next"`. A path of this hub, wherever it points. */
  #next({ headers, url }: Answer): string | undefined {
    const [, to] = /<([^>]+)>;\s*rel="next"/.exec(headers.get('link') ?? '') ?? []
    if (to === undefined || !URL.canParse(to, url)) return undefined
    const { pathname, search } = new URL(to, url)
    const base = new URL(this.#endpoint).pathname.replace(/\/+$/, '')
    return `${pathname.slice(base.length)}${search}`
  }
}

function listedFile(entry: unknown): [ListedFile] | undefined {
  const { type, path, size, lfs } = fieldsOf(entry)
  const kept = fieldsOf(lfs)
  const sizeBytes = sizeOf(kept.size ?? size)
  const isPath =
    typeof path === 'string' &&
    path.length <= PATH_MAX &&
    !path.split('/').some((part) => /^\.{0,2}$/.test(part))
  if (type !== 'file' || !isPath || sizeBytes === undefined) return undefined
  const sha256 = typeof kept.oid === 'string' ? hashOf(kept.oid) : undefined
  return [{ path, sizeBytes, ...(sha256 === undefined ? {} : { sha256 }) }]
}

/** What the hub means by a refusal, and what to do about it. It is the same for a file as for a list. */
export function refusal({ status, headers, url }: Answer, repo: string): PeerError {
  const code = headers.get('x-error-code')
  if (code === 'GatedRepo') {
    return new PeerError(
      'model_gated',
      `${repo} is gated: its owner wants to know who takes it. Ask for access on ${url.origin}/${repo}, ` +
        'then set HF_TOKEN to a token of your account there, and pull again.',
    )
  }
  if (code === 'RevisionNotFound') {
    return new PeerError('model_not_on_hub', `${repo} has no such revision. Leave it out.`)
  }
  if (code === 'EntryNotFound') {
    return new PeerError('model_not_on_hub', `${repo} has no such file any more. Pull again.`)
  }
  if (status === 401 || status === 403 || status === 404) {
    return new PeerError(
      'model_not_on_hub',
      `There is no ${repo} on ${url.host}, or it is private. Check its name; ` +
        'for a private one set HF_TOKEN to a token that may read it.',
    )
  }
  return serverTrouble(status, headers, url)
}

/** What may be over a moment later. */
export function serverTrouble(status: number, headers: Headers, url: URL): PeerError {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  const retryAfterMs = seconds >= 0 ? seconds * 1000 : undefined
  if (status === 429) {
    const message = `${url.host} is asked too much just now; with HF_TOKEN set it allows more.`
    return new ConnectionError(message, retryAfterMs)
  }
  if (status >= 500) {
    const message = `${url.host} has trouble just now (HTTP ${status}).`
    return new ConnectionError(message, retryAfterMs)
  }
  return new PeerError(
    'download_failed',
    `${url.host} refuses the file (HTTP ${status}). Check the address.`,
  )
}

function notTheHub(endpoint: string): PeerError {
  return new PeerError(
    'download_failed',
    `What answers at ${endpoint} is not the hub: a page to log in to this network, or a proxy. ` +
      'Look at that address in a browser; HF_ENDPOINT names another one.',
  )
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
