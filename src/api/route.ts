import type { FastifyInstance } from 'fastify'
import type { Deed } from '../accounts/idempotency/idempotency.ts'
import type { Principal, Scope } from '../accounts/principal.ts'
import type { Schema } from './schema.ts'

/**
 * One endpoint or a few that belong together. The server adds everything around them: request ids,
 * Host and Origin checks, keys, limits, error answers, metrics.
 *
 * ```ts
 * export function modelRoutes(components: ModelComponents): RouteModule {
 *   return (app) => {
 *     app.get('/models', { schema: { summary: 'List models' }, config: { access: 'models:read' } },
 *       () => ({ object: 'list', data: components.engine.status().map(toModel) }))
 *   }
 * }
 * ```
 *
 * Whatever makes or charges something says so in its config, `idempotent: 'work'` for one: then an
 * `Idempotency-Key` is all that a client needs to send it twice (see idempotency.ts).
 *
 * A handler reads `request.principal`, `request.id` (`req_…`) and `clientSignal(reply)`, returns a
 * JSON value or throws a PeerError. One that streams calls `reply.hijack()` and writes its head with
 * `reply.raw.writeHead(200, { ...reply.getHeaders(), … })`, which keeps the server's own headers.
 */
export type RouteModule = (app: FastifyInstance) => void

/** Who may call: anybody, any valid key, or a key with this scope. */
export type Access = 'public' | 'key' | Scope

/** What is known of a route when it is registered; `openapi.json` is written from these. */
export interface RouteEntry {
  /** Upper case. HEAD is left out: every GET answers it. */
  method: string
  /** The template, `/v1/models/:id`. */
  url: string
  access: Access
  /** What a request with an `Idempotency-Key` does once; undefined where none is taken. */
  idempotent: Deed | 'form' | undefined
  schema: RouteSchema
}

/** `body`, `querystring` and `params` check and document, `response` documents only. */
export interface RouteSchema {
  summary?: string
  description?: string
  tags?: readonly string[]
  body?: Schema
  /** Of a route that reads `multipart/form-data` itself; documents only. */
  form?: Schema
  querystring?: Schema
  params?: Schema
  response?: unknown
  /** Codes of what can go wrong here, beyond what can at every route like it. */
  errors?: readonly string[]
  /** The same by OpenAI's client, in JavaScript. */
  sdk?: string
  /** Not listed in `openapi.json`: another path of a route that is. */
  hide?: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route registered so far, complete once the server listens. */
    routeEntries: readonly RouteEntry[]
    /** Aborts when the server is to stop: then answers that have no end of their own must end. */
    closing: AbortSignal
  }
  interface FastifyRequest {
    /** Set on every route whose access is not `public`; reading it elsewhere throws. */
    principal: Principal
  }
  interface FastifyContextConfig {
    /** Required: a route that does not say who may call it is refused at start. */
    access?: Access
  }
  interface FastifySchema {
    summary?: string
    description?: string
    tags?: readonly string[]
    form?: Schema
    errors?: readonly string[]
    sdk?: string
    hide?: boolean
  }
}

/** Serves the same routes under a prefix and, unlisted, under others (`/v1`, and without it). */
export function mounted(
  routes: RouteModule,
  prefix: string,
  aliases: readonly string[] = [],
): RouteModule {
  return (app) => {
    app.register(async (scope) => routes(scope), { prefix })
    for (const alias of aliases) {
      app.register(
        async (scope) => {
          scope.addHook('onRoute', (route) => {
            route.schema = { ...route.schema, hide: true }
          })
          routes(scope)
        },
        { prefix: alias },
      )
    }
  }
}
