import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { PeerError } from '../base/errors.ts'
import type { RouteModule } from './route.ts'
import { sdkModules } from './sdk-modules.ts'

const folder = new URL('./dashboard/public/', import.meta.url)

const HTML = 'text/html; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'

const files = [
  { url: '/', name: 'index.html', type: HTML },
  { url: '/style.css', name: 'style.css', type: 'text/css; charset=utf-8' },
  { url: '/app.js', name: 'app.js', type: SCRIPT },
  { url: '/favicon.svg', name: 'favicon.svg', type: 'image/svg+xml' },
  { url: '/ghost', name: 'ghost.html', type: HTML },
  { url: '/reference', name: 'reference.html', type: HTML },
  { url: '/reference.js', name: 'reference.js', type: SCRIPT },
  { url: '/reference-schema.js', name: 'reference-schema.js', type: SCRIPT },
]

/** Nothing from elsewhere, nothing inline: a model's or a peer's name can never become a script. */
const headers = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
}

interface PageFile {
  type: string
  content: string
  etag: string
  policy: string
}

/** The pages. Their files are public and hold no key. */
export function pageRoutes(): RouteModule {
  return (app) => {
    const options = { config: { access: 'public' }, schema: { hide: true } } as const
    for (const { url, name, type } of files) {
      const file = fileOf(type, readFileSync(new URL(name, folder), 'utf8'))
      app.get(url, options, (request, reply) => send(file, request, reply))
    }
    let modules: ReadonlyMap<string, PageFile> | undefined
    app.get<{ Params: { '*': string } }>('/modules/*', options, (request, reply) => {
      modules ??= new Map([...sdkModules()].map(([path, text]) => [path, fileOf(SCRIPT, text)]))
      const file = modules.get(request.params['*'])
      if (file === undefined) throw new PeerError('not_found', 'There is no such module.')
      return send(file, request, reply)
    })
  }
}

function send(file: PageFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { type, content, etag, policy } = file
  reply.headers(headers).header('content-security-policy', policy).header('etag', etag)
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  return reply.type(type).send(content)
}

function fileOf(type: string, content: string): PageFile {
  const etag = `"${digest(content).slice(0, 16)}"`
  return { type, content, etag, policy: policyOf(type === HTML ? content : '') }
}

/** A page in one file names its own script and style by their hashes: no others are run. */
function policyOf(html: string): string {
  const own = (tag: string) =>
    [...html.matchAll(new RegExp(`<${tag}( type="module")?>(.*?)</${tag}>`, 'gs'))]
      .map(([, , text = '']) => ` 'sha256-${digest(text, 'base64')}'`)
      .join('')
  return (
    `default-src 'none'; script-src 'self'${own('script')}; style-src 'self'${own('style')}; ` +
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'"
  )
}

const digest = (text: string, encoding: 'base64' | 'base64url' = 'base64url'): string =>
  createHash('sha256').update(text).digest(encoding)
