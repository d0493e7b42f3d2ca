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

/** As a page on the web has it: modules as they are packed, found by an import map, no bundler. */
const page = (imports: Record<string, string>) => `<!doctype html>
<title>The SDK</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
const tell = (said) => fetch('/said', { method: 'POST', body: JSON.stringify(said) })
try {
  const { ghost, verifyReceipt } = await import('/${entry}')
  const judge = ({ receipt, options }) => {
    try {
      return { report: verifyReceipt(receipt, options) }
    } catch (error) {
      return { refused: error.code ?? String(error) }
    }
  }
  const cases = await (await fetch('/cases')).json()
  const views = []
  for await (const view of ghost(await fetch('/stream'))) views.push(view)
  await tell({ results: cases.map(judge), views })
} catch (error) {
  await tell({ broke: String(error) })
}
</script>
`

/** What a page had of all that it was given. */
export interface PageSaid {
  results: PageResult[]
  /** Of the stream. */
  views: object[]
}

export interface ServedPage {
  url: string
  /** Once the page is done. */
  said: Promise<PageSaid>
  stop(): Promise<void>
}

/** A page on loopback in which these cases are judged, and this stream is watched. */
export async function servePage(
  cases: readonly PageCase[],
  stream: readonly Uint8Array[],
): Promise<ServedPage> {
  const files = modules()
  const html = page(files.imports)
  const said = Promise.withResolvers<PageSaid>()
  const hear = async (request: IncomingMessage) => {
    const { broke, ...had } = JSON.parse(await text(request))
    if (broke === undefined) said.resolve(had)
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
    const body = path === '/' ? html : path === '/cases' ? JSON.stringify(cases) : files.read(path)
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
