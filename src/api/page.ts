import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RouteModule } from './route.ts'

const folder = new URL('./dashboard/public/', import.meta.url)

const files = [
  { url: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/style.css', name: 'style.css', type: 'text/css; charset=utf-8' },
  { url: '/app.js', name: 'app.js', type: 'text/javascript; charset=utf-8' },
  { url: '/favicon.svg', name: 'favicon.svg', type: 'image/svg+xml' },
]

/** Nothing from elsewhere, nothing inline: a model's or a peer's name can never become a script. */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
}

/** The status page. Its files are public and hold no key; what they show comes from `/readyz`. */
export function pageRoutes(): RouteModule {
  return (app) => {
    for (const { url, name, type } of files) {
      const content = readFileSync(new URL(name, folder))
      const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 16)}"`
      app.get(url, { config: { access: 'public' }, schema: { hide: true } }, (request, reply) => {
        reply.headers(headers).header('etag', etag)
        if (request.headers['if-none-match'] === etag) return reply.code(304).send()
        return reply.type(type).send(content)
      })
    }
  }
}
