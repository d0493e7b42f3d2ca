import { isIP } from 'node:net'
import { rateLimitHeaderNames } from './rate-limits.ts'
import { workHeaderNames } from './work-headers.ts'

/** A page that resolves its own name to 127.0.0.1 still sends that name: nothing but these may ask. */
const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]'])

export interface OriginOptions {
  /** The address the server binds to. */
  host: string
  /** Further names this server is reached by, without port (`peer.example.org`). */
  hostNames: readonly string[]
  /** Pages that may call, `https://app.example.org`; `*` for all. */
  corsOrigins: readonly string[]
}

/** Which names and which pages may reach the server. */
export class OriginPolicy {
  readonly #hosts: ReadonlySet<string>
  readonly #origins: ReadonlySet<string>
  /** Bound to every address: any bare IP is one of ours, and no name that can be rebound. */
  readonly #anyAddress: boolean

  constructor({ host, hostNames, corsOrigins }: OriginOptions) {
    const own = host.includes(':') ? `[${host}]` : host
    this.#hosts = new Set([...loopbackNames, ...[own, ...hostNames].map((n) => n.toLowerCase())])
    this.#origins = new Set(corsOrigins)
    this.#anyAddress = host === '0.0.0.0' || host === '::'
  }

  hostAllowed(host: string | undefined): boolean {
    if (host === undefined) return false
    const name = withoutPort(host)
    if (this.#hosts.has(name)) return true
    if (this.#hosts.has(name.toLowerCase())) return true
    return this.#anyAddress && isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0
  }

  /** `host` is the request's own, already checked: a page of this server may call it. */
  originAllowed(origin: string, host: string): boolean {
    if (this.#origins.has(origin) || this.#origins.has('*')) return true
    const match = /^https?:\/\/([^/]+)$/.exec(origin)
    if (match?.[1] === undefined) return false
    return match[1] === host || loopbackNames.has(withoutPort(match[1]))
  }
}

/** By hand: each request asks, and expressions take several times as long. */
function withoutPort(host: string): string {
  let end = host.length
  while (end > 0 && isDigit(host.charCodeAt(end - 1))) end--
  return host[end - 1] === ':' ? host.slice(0, end - 1) : host
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

/** Headers of ours that a page may read. */
export const exposedHeaders = [
  'x-request-id',
  'x-should-retry',
  'retry-after',
  'retry-after-ms',
  'Idempotency-Replayed',
  ...rateLimitHeaderNames,
  ...workHeaderNames,
].join(', ')
