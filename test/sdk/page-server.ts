import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, relative, sep } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const root = join(import.meta.dirname, '../..')
const entry = 'dist/src/sdk/index.js'

/** What is asked of `verifyReceipt` in the page. */
export interface PageCase {
  receipt: unknown
  options?: object
}

/** What it said there. */
export type PageResult = { report: object } | { refused: string }

/**
 * As a page on the web has it: modules as they are packed, found by an import map, no bundler.
 * `script` returns what is to be told of it; `sdk` and `given` are there for it.
 */
const page = (imports: Record<string, string>, script: string) => `<!doctype html>
<title>The SDK</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
const tell = (said) => fetch('/said', { method: 'POST', body: JSON.stringify(said) })
try {
  const sdk = await import('/${entry}')
  const given = await (await fetch('/given')).json()
  await tell(await (async () => {${script}})())
} catch (error) {
  await tell({ broke: String(error) })
}
</script>
`

const judging = `
  const judge = ({ receipt, options }) => {
    try {
      return { report: sdk.verifyReceipt(receipt, options) }
    } catch (error) {
      return { refused: error.code ?? String(error) }
    }
  }
  const views = []
  for await (const view of sdk.ghost(await fetch('/stream'))) views.push(view)
  return { results: given.map(judge), views }
`

/** What a page had of all that it was given. */
export interface PageSaid {
  results: PageResult[]
  /** Of the stream. */
  views: object[]
}

export interface ServedPage<T> {
  url: string
  /** Once the page is done. */
  said: Promise<T>
  stop(): Promise<void>
}

/** A page on loopback in which these cases are judged, and this stream is watched. */
export const servePage = (cases: readonly PageCase[], stream: readonly Uint8Array[]) =>
  serveScript<PageSaid>(judging, cases, stream)

/** A page on loopback that runs this script with the SDK. */
export async function serveScript<T>(
  script: string,
  given: unknown,
  stream: readonly Uint8Array[] = [],
): Promise<ServedPage<T>> {
  const files = modules()
  const html = page(files.imports, script)
  const said = Promise.withResolvers<T>()
  const hear = async (request: IncomingMessage) => {
    const { broke, ...had } = JSON.parse(await text(request))
    if (broke === undefined) said.resolve(had as T)
    else said.reject(new Error(`In the page: ${broke}`))
  }
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? ''
    if (path === '/stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const piece of stream) response.write(piece)
      response.end()
      return
    }
    const body = path === '/' ? html : path === '/given' ? JSON.stringify(given) : files.read(path)
    const type = path === '/' ? 'text/html' : 'text/javascript'
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': `${type}; charset=utf-8` })
    response.end(body)
  }
  const server = createServer((request, response) => {
    if (request.method === 'POST') void hear(request).then(() => response.end(), said.reject)
    else answer(request, response)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    said: said.promise,
    async stop() {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

/** The SDK and all that it imports: nothing else is served. */
function modules() {
  const imports: Record<string, string> = {}
  const sources = new Map<string, string>()
  const visit = (file: string) => {
    const path = `/${relative(root, file).split(sep).join('/')}`
    if (sources.has(path)) return path
    const source = readFileSync(file, 'utf8')
    sources.set(path, source)
    for (const [, specifier = ''] of source.matchAll(
      /^(?:import|export|\}) ?.*?from ?['"]([^'"]+)['"]/gm,
    )) {
      if (specifier.startsWith('.')) visit(join(dirname(file), specifier))
      else imports[specifier] = visit(fileURLToPath(import.meta.resolve(specifier)))
    }
    return path
  }
  visit(join(root, entry))
  return { imports, read: (path: string) => sources.get(path) }
}
