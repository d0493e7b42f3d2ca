import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import type { Idempotency } from '../accounts/idempotency/idempotency.ts'
import type { Principal } from '../accounts/principal.ts'
import { isAbort } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { limitBodies } from './body-room.ts'
import { validatorCompiler } from './check.ts'
import { clientGone } from './client-signal.ts'
import type { Entrance } from './entrance.ts'
import { answerTo, errorBody, errorHeaders } from './error-answer.ts'
import { serveOnce } from './idempotency.ts'
import { acceptJson } from './json-body.ts'
import type { NodeHandler, NodeServer } from './node-server.ts'
import { tellLimits } from './rate-limits.ts'
import type { RouteModule } from './route.ts'
import { listRoutes } from './route-list.ts'

export interface AppParts {
  entrance: Entrance
  logger: Logger
  newRequestId: () => string
  bodyBytesMax: number
  bodiesBytesMax: number
  routes: readonly RouteModule[]
  createServer: (handler: NodeHandler) => NodeServer
  onBadHttp: (error: Error, socket: Socket) => void
  closing: AbortSignal
  idempotency?: Idempotency | undefined
}

const PARAM_CHARS_MAX = 512

/** The framework with our rules: what a route module can count on. */
export async function buildApp(parts: AppParts): Promise<FastifyInstance> {
  const onError = errorHandler(parts.logger)
  const app = fastify({
    // Typed by Fastify as HTTP/1's; the two servers differ in nothing that the app uses.
    serverFactory: (handler) => parts.createServer(handler as NodeHandler) as never,
    clientErrorHandler: parts.onBadHttp,
    genReqId: parts.newRequestId,
    requestIdHeader: false,
    logger: false,
    bodyLimit: parts.bodyBytesMax,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id)
      onError(error, request as FastifyRequest, reply as unknown as FastifyReply)
    },
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    // With compilers from us, Fastify does not load its own: 20 MB that nothing would use.
    schemaController: {
      compilersFactory: {
        // Typed by Fastify as one of ajv's.
        buildValidator: (() => validatorCompiler) as never,
        // Response schemas document; a serializer made from them would drop what they do not name.
        buildSerializer: () => () => JSON.stringify,
      },
    },
  })
  acceptJson(app)
  listRoutes(app)
  app.decorate('closing', { getter: () => parts.closing })
  decoratePrincipal(app)
  tellLimits(app)
  serveOnce(app, parts.idempotency)
  app.addHook('onRequest', parts.entrance.onRequest)
  limitBodies(app, parts.bodiesBytesMax)
  app.setErrorHandler(onError)
  for (const routes of parts.routes) app.register(async (scope) => routes(scope))
  await app.ready()
  return app
}

function errorHandler(logger: Logger) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    // A handler that was told to stop, or half a body: nobody is left to be answered, and nothing
    // went wrong.
    const { raw } = request
    if (clientGone(reply.raw) && (isAbort(error) || !raw.complete)) return
    const answer = answerTo(error)
    if (answer.status >= 500) {
      const route = request.routeOptions.url
      const data = { requestId: request.id, route, code: answer.code }
      if (answer.expected) logger.warn('request refused', { ...data, reason: answer.message })
      else logger.error('request failed', { ...data, error })
    }
    // Fastify hangs up where a body was left unread, and the sender would miss the answer.
    if (answer.code !== 'shutting_down' && reply.hasHeader('connection')) {
      reply.removeHeader('connection')
    }
    const body = errorBody(request.url, answer, request.id)
    reply.code(answer.status).headers(errorHeaders(answer)).send(body)
  }
}

const kPrincipal = Symbol('principal')

function decoratePrincipal(app: FastifyInstance): void {
  type Slot = FastifyRequest & { [kPrincipal]?: Principal }
  app.decorateRequest('principal', {
    getter(this: Slot): Principal {
      const principal = this[kPrincipal]
      if (principal === undefined) throw new Error('A public route has no principal.')
      return principal
    },
    setter(this: Slot, principal: Principal) {
      this[kPrincipal] = principal
    },
  })
}
