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
<title>verifyReceipt</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
const tell = (said) => fetch('/said', { method: 'POST', body: JSON.stringify(said) })
try {
  const { verifyReceipt } = await import('/${entry}')
  const judge = ({ receipt, options }) => {
    try {
      return { report: verifyReceipt(receipt, options) }
    } catch (error) {
      return { refused: error.code ?? String(error) }
    }
  }
  const cases = await (await fetch('/cases')).json()
  await tell({ results: cases.map(judge) })
} catch (error) {
  await tell({ broke: String(error) })
}
</script>
`

export interface ServedPage {
  url: string
  /** Once the page is done. */
  results: Promise<PageResult[]>
  stop(): Promise<void>
}

/** A page on loopback in which these cases are judged. */
export async function servePage(cases: readonly PageCase[]): Promise<ServedPage> {
  const files = modules()
  const html = page(files.imports)
  const said = Promise.withResolvers<PageResult[]>()
  const hear = async (request: IncomingMessage) => {
    const { broke, results } = JSON.parse(await text(request))
    if (broke === undefined) said.resolve(results)
    else said.reject(new Error(`In the page: ${broke}`))
  }
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? ''
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
    results: said.promise,
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
