import type { Server, ServerResponse } from 'node:http'
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import { messageOf, PeerError } from '../base/errors.ts'
import { answerTo, openAiError } from './error-answer.ts'
import type { HttpOptions } from './http-options.ts'

// An import would ask the module for all it exports, and so load Node's own fetch and WebSocket:
// 13 MB and 25 ms for what the server never uses.
const { createServer } = process.getBuiltinModule('node:http')

export type NodeServer = Server | Http2SecureServer
export type NodeHandler = (request: never, response: never) => void

/** How often connections are held against their time limits. */
const CHECK_MS = 1_000
/** A TLS handshake takes three round trips at most. */
const HANDSHAKE_MS = 10_000

/** The bare server with every limit that Node can enforce itself. */
export function createNodeServer(handler: NodeHandler, options: HttpOptions): NodeServer {
  const http1 = {
    maxHeaderSize: options.headerBytesMax,
    headersTimeout: Math.min(options.headersTimeoutMs, options.requestTimeoutMs),
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveMs,
    // The check of names refuses such a request, in words.
    requireHostHeader: false,
    connectionsCheckingInterval: CHECK_MS,
  }
  const listener = handler as () => void
  const server =
    options.tls === undefined
      ? createServer(http1, listener)
      : createTlsServer(options.tls, http1, listener, options)
  server.maxConnections = options.connectionsMax
  // Whatever else a client expects, it gets the answer.
  server.on('checkExpectation', listener)
  return server
}

function createTlsServer(
  tls: { certPem: string; keyPem: string },
  http1: object,
  listener: () => void,
  options: HttpOptions,
): Http2SecureServer {
  try {
    const secure = {
      cert: tls.certPem,
      key: tls.keyPem,
      allowHTTP1: true,
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderListPairs: options.headersMax,
      settings: {
        maxConcurrentStreams: options.streamsMax,
        maxHeaderListSize: options.headerBytesMax,
      },
      ...http1,
    }
    const server = createSecureServer(secure, listener)
    server.on('session', (session) => endWhenIdle(session, options.keepAliveMs))
    return server
  } catch (error) {
    throw new PeerError(
      'invalid_tls',
      `The TLS certificate and key do not work: ${messageOf(error)}. Check --tls-cert and --tls-key.`,
      { cause: error },
    )
  }
}

/** `close` alone would wait for ever on a client that takes nothing of what is still to go out. */
function endWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let open = 0
  session.on('stream', (stream) => {
    open++
    stream.once('close', () => open--)
  })
  session.setTimeout(idleMs, () => {
    if (open === 0) session.destroy()
    else session.close()
  })
}

/** Answers what is no HTTP at all, in the shape of every other error, and hangs up. */
export function badHttpHandler(
  newRequestId: () => string,
  underway: (socket: Duplex) => ServerResponse | undefined,
) {
  return (error: NodeJS.ErrnoException, socket: Duplex): void => {
    const begun = underway(socket)?.headersSent === true
    if (error.code === 'ECONNRESET' || !socket.writable || begun) {
      socket.destroy()
      return
    }
    const answer = answerTo(badHttp(error.code))
    const requestId = newRequestId()
    const body = JSON.stringify(openAiError(answer, requestId))
    socket.end(
      `HTTP/1.1 ${answer.status} Refused\r\nConnection: close\r\n` +
        `X-Request-Id: ${requestId}\r\n` +
        'Content-Type: application/json; charset=utf-8\r\n' +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      () => socket.destroy(),
    )
  }
}

function badHttp(code: string | undefined): PeerError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new PeerError('headers_too_large', 'The request headers are too large.')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return tooSlow()
    default:
      return new PeerError('invalid_request', 'This is not a valid HTTP request.')
  }
}

export function tooSlow(): PeerError {
  return new PeerError('request_timeout', 'The request took too long to arrive.')
}
