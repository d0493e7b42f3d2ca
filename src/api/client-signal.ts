import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply } from 'fastify'

const signals = new WeakMap<FastifyReply, AbortSignal>()
const carried = new WeakMap<FastifyReply, { over: Promise<void>; signal: AbortSignal }>()

/**
 * Aborts when nobody wants the work for an answer any more: the one way for a handler to learn that
 * its client is gone. Holds for HTTP/1 and HTTP/2, and also after `reply.hijack()`.
 */
export function clientSignal(reply: FastifyReply): AbortSignal {
  return carried.get(reply)?.signal ?? closeSignal(reply)
}

/** Aborts when the client goes away before its answer was ended. */
export function closeSignal(reply: FastifyReply): AbortSignal {
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

/** The work for this answer goes on to its end although its client may leave. */
export function carryOn(reply: FastifyReply, over: Promise<void>): void {
  carried.set(reply, { over, signal: new AbortController().signal })
}

/** Undefined where it ends with its client. */
export function carriedUntil(reply: FastifyReply): Promise<void> | undefined {
  return carried.get(reply)?.over
}

/** Nothing that is written any more will arrive. An HTTP/2 response itself does not know. */
export function clientGone(raw: ServerResponse | Http2ServerResponse): boolean {
  if ('stream' in raw) return raw.stream.destroyed
  return raw.destroyed
}
