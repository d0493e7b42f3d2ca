import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

// The Hugging Face hub and the CDN it sends to, as far as a client that downloads meets them. Written from
// huggingface_hub (`hf_api.py`, `file_download.py`, `utils/_http.py`: headers X-Repo-Commit, X-Linked-Size,
// X-Linked-Etag, X-Error-Code, and what a 401, 403 and 404 mean), from llama.cpp's `common/hf-cache.cpp`
// (`/api/models/REPO/tree/COMMIT?recursive=true`), and from recorded exchanges with the hub that other
// projects publish: `/resolve/` answers a large file with a 302 whose Location is signed and elsewhere.

export interface HubFile {
  path: string
  bytes: Buffer
}

export interface HubRepo {
  id: string
  files: HubFile[]
  licence?: string | undefined
  /** Asks for a token. */
  gated?: boolean
}

/** What one answer of the CDN does wrong. */
export interface Fault {
  /** Destroys the connection after so many bytes of the body. */
  cutAfter?: number
  /** Says nothing more after so many bytes. */
  hangAfter?: number
  status?: number
  headers?: Record<string, string>
  html?: boolean
  ignoresRange?: boolean
  /** Of Content-Length and Content-Range, on top of the truth. */
  lengthLie?: number
  /** Other bytes of the same length. */
  flipped?: boolean
}

export interface Asked {
  server: 'hub' | 'cdn'
  path: string
  range: string | undefined
  authorization: string | undefined
}

const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const TOKEN = 'hf_goodgoodgoodgoodgoodgoodgoodgoodgood'

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** Begins like a GGUF file. */
export const ggufLike = (length: number): Buffer =>
  Buffer.concat([Buffer.from('GGUF'), randomBytes(length - 4)])

export class FakeHub {
  readonly token = TOKEN
  readonly asked: Asked[] = []
  /** One for each answer of the CDN, in turn; then it behaves. */
  faults: Fault[] = []
  /** Answers of the hub itself that fail, in turn. */
  hubStatus: number[] = []
  /** What the hub claims instead of the hash. */
  wrongHash: string | undefined
  /** Instead of JSON. */
  captivePortal = false
  repos: HubRepo[] = []
  url = ''
  cdnUrl = ''
  readonly #servers: Server[] = []

  async start(): Promise<this> {
    this.url = await this.#listen((request, response) => this.#hub(request, response))
    this.cdnUrl = await this.#listen((request, response) => this.#cdn(request, response))
    return this
  }

  stop(): void {
    this.breakOff()
    for (const server of this.#servers) server.close()
  }

  /** All that is being sent. */
  breakOff(): void {
    for (const server of this.#servers) server.closeAllConnections()
  }

  of(server: Asked['server']): Asked[] {
    return this.asked.filter((each) => each.server === server)
  }

  async #listen(handle: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = createServer(handle)
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  #note(server: Asked['server'], { url = '', headers }: IncomingMessage): void {
    const { range, authorization } = headers
    this.asked.push({ server, path: url, range, authorization })
  }

  #hub(request: IncomingMessage, response: ServerResponse): void {
    this.#note('hub', request)
    const status = this.hubStatus.shift()
    const { pathname } = new URL(request.url ?? '', this.url)
    if (status !== undefined) response.writeHead(status, { 'retry-after': '0' }).end()
    else if (this.captivePortal) {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>')
    } else {
      const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\//.exec(pathname)
      const file = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(pathname)
      const repo = this.repos.find(({ id }) => id === (api ?? file)?.[1])
      const isLetIn = request.headers.authorization === `Bearer ${TOKEN}`
      if (repo === undefined) this.#refuse(response, 401, 'RepoNotFound')
      else if (api !== null) this.#api(repo, api[2] ?? '', response)
      else if (repo.gated === true && !isLetIn) this.#refuse(response, 401, 'GatedRepo')
      else this.#resolve(repo, decodeURIComponent(file?.[2] ?? ''), response)
    }
  }

  #refuse(response: ServerResponse, status: number, code: string): void {
    response.writeHead(status, { 'x-error-code': code, 'x-error-message': 'in words' }).end()
  }

  #api(repo: HubRepo, what: string, response: ServerResponse): void {
    const tree = repo.files.map(({ path, bytes }) => ({
      ...{ type: 'file', path, size: bytes.length, oid: '0'.repeat(40) },
      lfs: { oid: this.wrongHash ?? sha256(bytes), size: bytes.length, pointerSize: 132 },
    }))
    const revision = {
      ...{ id: repo.id, sha: COMMIT, gated: repo.gated === true ? 'auto' : false },
      cardData: repo.licence === undefined ? undefined : { license: repo.licence },
    }
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
    response.end(JSON.stringify(what === 'tree' ? tree : revision))
  }

  #resolve(repo: HubRepo, path: string, response: ServerResponse): void {
    const file = repo.files.find((each) => each.path === path)
    if (file === undefined) {
      this.#refuse(response, 404, 'EntryNotFound')
      return
    }
    response.writeHead(302, {
      location: `${this.cdnUrl}/${repo.id}/${encodeURI(path)}?Signature=abc&Expires=1`,
      'x-repo-commit': COMMIT,
      'x-linked-size': String(file.bytes.length),
      'x-linked-etag': `"${this.wrongHash ?? sha256(file.bytes)}"`,
    })
    response.end('Found. Redirecting')
  }

  #cdn(request: IncomingMessage, response: ServerResponse): void {
    this.#note('cdn', request)
    const fault = this.faults.shift() ?? {}
    const { pathname } = new URL(request.url ?? '', this.cdnUrl)
    const file = this.repos
      .flatMap(({ id, files }) => files.map((each) => ({ ...each, at: `/${id}/${each.path}` })))
      .find(({ at }) => at === decodeURIComponent(pathname))
    if (fault.status !== undefined) response.writeHead(fault.status, fault.headers).end()
    else if (fault.html === true) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>')
    } else if (file === undefined) response.writeHead(404).end()
    else sendFile(request, response, file.bytes, fault)
  }
}

/** As S3 does: ranges, If-Range by ETag, 416 behind the end. */
function sendFile(
  { headers }: IncomingMessage,
  response: ServerResponse,
  whole: Buffer,
  fault: Fault,
): void {
  const bytes = fault.flipped === true ? Buffer.from(whole).fill(7, 100) : whole
  const etag = `"${sha256(whole).slice(0, 32)}"`
  const isSame = headers['if-range'] === undefined || headers['if-range'] === etag
  const [, from] = /^bytes=(\d+)-$/.exec(headers.range ?? '') ?? []
  const start = from === undefined || !isSame || fault.ignoresRange === true ? 0 : Number(from)
  if (start >= bytes.length && start > 0) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    return
  }
  const lie = fault.lengthLie ?? 0
  const body = bytes.subarray(start)
  const isPart = start > 0
  response.writeHead(isPart ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': body.length + lie,
    'accept-ranges': 'bytes',
    etag,
    ...(isPart && {
      'content-range': `bytes ${start}-${bytes.length - 1 + lie}/${bytes.length + lie}`,
    }),
    ...fault.headers,
  })
  const stop = fault.cutAfter ?? fault.hangAfter
  if (stop === undefined && lie === 0) response.end(body)
  else {
    response.write(body.subarray(0, stop ?? body.length), () => {
      if (fault.hangAfter === undefined) response.destroy()
    })
  }
}

export async function fakeHub(...repos: HubRepo[]): Promise<FakeHub> {
  const hub = await new FakeHub().start()
  hub.repos = repos
  onTestFinished(() => hub.stop())
  return hub
}
