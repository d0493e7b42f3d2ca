import type { RouteModule } from './route.ts'

export interface HttpOptions {
  host: string
  /** 0: any free one. */
  port: number
  /** With it: HTTPS, HTTP/2 and HTTP/1.1 on the same port. */
  tls?: { certPem: string; keyPem: string } | undefined
  /** Keys may cross a network unencrypted. */
  insecureHttp: boolean
  /** Pages that may call, beside those on localhost; `*` for all. */
  corsOrigins: readonly string[]
  /** Names this server is reached by, beside its own address and localhost. */
  hostNames: readonly string[]
  bodyBytesMax: number
  bodiesBytesMax: number
  headerBytesMax: number
  headersMax: number
  headersTimeoutMs: number
  requestTimeoutMs: number
  keepAliveMs: number
  connectionsMax: number
  streamsMax: number
  stallMs: number
  lingerMs: number
  drainMs: number
  routes: readonly RouteModule[]
}

export const defaultHttp = {
  host: '127.0.0.1',
  port: 7462,
  insecureHttp: false,
  corsOrigins: [],
  hostNames: [],
  /** 2,048 embedding inputs or a few photographs in base64; a body is held in memory whole. */
  bodyBytesMax: 20 * 1024 * 1024,
  /** Of all that are not answered yet; parsed, they take two to three times as much memory. */
  bodiesBytesMax: 512 * 1024 * 1024,
  /** Node's own; OpenAI's clients send about 1 KiB. */
  headerBytesMax: 16 * 1024,
  /** OpenAI's clients send about 20. */
  headersMax: 100,
  /** A client that sends its headers slower than this holds a connection for nothing. */
  headersTimeoutMs: 10_000,
  /** The largest file at 2 Mbit/s. */
  requestTimeoutMs: 240_000,
  /** Longer than the 60 s of common proxies, so that they are the ones to close an idle connection. */
  keepAliveMs: 72_000,
  /** Ten thousand idle streams, with room; each costs a descriptor and about 20 KiB. */
  connectionsMax: 12_000,
  /** Requests at a time on one HTTP/2 connection; browsers and gRPC settle on 100 too. */
  streamsMax: 100,
  /** A client that takes nothing of a whole answer for so long is taken for gone. */
  stallMs: 30_000,
  /** How long the rest of a refused body is read away, so that the refusal reaches its sender. */
  lingerMs: 2_000,
  /** How long `stop` lets running answers go on. */
  drainMs: 8_000,
} as const satisfies Omit<HttpOptions, 'routes'>
