import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type Endpoint, secretsOf } from './endpoint-record.ts'
import type { DeliveryFault, DeliveryRow, EventRow } from './event-record.ts'
import type { Post, Posted, PostRequest } from './post.ts'
import { retryMs } from './retry.ts'
import { signatures } from './signature.ts'

export interface AttemptComponents {
  clock: Clock
  post: Post
  /** `pinaivu-peer/0.1.0` */
  userAgent: string
}

/** OpenAI's envelope. The same for each attempt; the body is made of it anew, byte for byte equal. */
export const envelopeOf = ({ id, type, createdAt, object }: EventRow) => ({
  object: 'event' as const,
  id,
  type,
  created_at: Math.floor(createdAt / 1000),
  data: { object },
})

/** One request to the endpoint, signed now. */
export function attempt(
  { clock, post, userAgent }: AttemptComponents,
  endpoint: Endpoint,
  event: EventRow,
  signal: AbortSignal,
): Promise<Posted> {
  const now = clock.now()
  const { id } = event
  const body = JSON.stringify(envelopeOf(event))
  const timestamp = Math.floor(now / 1000)
  const request: PostRequest = {
    url: endpoint.url,
    headers: {
      'content-type': 'application/json',
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': `${timestamp}`,
      'webhook-signature': signatures({ id, timestamp, body }, secretsOf(endpoint, now)),
    },
    body,
  }
  return post(request, signal)
}

/** The delivery after an attempt that went so. */
export function afterAttempt(
  delivery: DeliveryRow,
  posted: Posted,
  { now, random }: { now: number; random: Random },
): DeliveryRow {
  const fault = faultOf(posted)
  const attempts = delivery.attempts + 1
  const again = fault === null || fault === 'gone' ? undefined : retryMs(attempts, random)
  return {
    ...delivery,
    attempts,
    status: fault === null ? 'succeeded' : again === undefined ? 'failed' : 'pending',
    responseStatus: 'status' in posted ? posted.status : null,
    responseMs: posted.ms,
    fault,
    nextAttemptAt: again === undefined ? null : now + again,
  }
}

/** 2xx is done, 410 asks never to be asked again; a redirect may lead anywhere, and is not followed. */
function faultOf(posted: Posted): DeliveryFault | null {
  if ('fault' in posted) return posted.fault
  const { status } = posted
  if (status >= 200 && status < 300) return null
  if (status === 410) return 'gone'
  return status >= 300 && status < 400 ? 'redirected' : 'refused'
}

/** A delivery that ends without another attempt. */
export const givenUp = (delivery: DeliveryRow, fault: DeliveryFault): DeliveryRow => ({
  ...delivery,
  status: 'failed',
  fault,
  nextAttemptAt: null,
})
