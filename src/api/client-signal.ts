import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply } from 'fastify'

const signals = new WeakMap<FastifyReply, AbortSignal>()

/**
 * Aborts when the client goes away before its answer was ended: the one way for a handler to learn
 * that nobody listens any more. Holds for HTTP/1 and HTTP/2, and also after `reply.hijack()`.
 */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const known = signals.get(reply)
  if (known !== undefined) return known
  const controller = new AbortController()
  const { raw } = reply
  const onClose = () => {
    if (!raw.writableEnded) controller.abort(new DOMException('The client left.', 'AbortError'))
  }
  if (clientGone(raw)) onClose()
  else raw.once('close', onClose)
  signals.set(reply, controller.signal)
  return controller.signal
}

/** Nothing that is written any more will arrive. An HTTP/2 response itself does not know. */
export function clientGone(raw: ServerResponse | Http2ServerResponse): boolean {
  if ('stream' in raw) return raw.stream.destroyed
  return raw.destroyed
}
