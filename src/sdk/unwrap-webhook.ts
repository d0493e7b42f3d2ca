import { base64pad } from 'multiformats/bases/base64'
import { type Clock, systemClock } from '../base/clock.ts'
import { PinaivuError } from './client/pinaivu-error.ts'
import type { WebhookEvent } from './types/webhooks.ts'

/** What a delivery brings. */
export type DeliveredEvent = Omit<WebhookEvent, 'pending_webhooks'>

export interface UnwrapOptions {
  /** `whsec_…`; while one is being replaced, both. */
  secret: string | readonly string[]
  /** A delivery that was signed longer ago, or so much later, may be an old one that somebody replays. */
  toleranceMs?: number
  clock?: Pick<Clock, 'now'>
}

type HeadersLike =
  | { get(name: string): string | null | undefined }
  | Readonly<Record<string, string | readonly string[] | undefined>>

const TOLERANCE_MS = 5 * 60 * 1000
/** One for each secret of an endpoint, and room for kinds that are not known yet. */
const SIGNATURES_MAX = 16
const SECRET_PREFIX = 'whsec_'

/**
 * The event in a delivery of a webhook, if it was signed with the secret of its endpoint and lately:
 * as Standard Webhooks says. `body` is what came, unparsed. Throws a PinaivuError
 * `invalid_webhook_signature` for what was not sent by the peer.
 *
 * ```ts
 * const event = await unwrapWebhook(await request.text(), request.headers, { secret })
 * ```
 *
 * The same event may come more than once, under the same `id`.
 */
export async function unwrapWebhook(
  body: string | Uint8Array,
  headers: HeadersLike,
  { secret, toleranceMs = TOLERANCE_MS, clock = systemClock }: UnwrapOptions,
): Promise<DeliveredEvent> {
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signatures = signaturesIn(headerOf(headers, 'webhook-signature'))
  if (!/^\d{1,12}$/.test(timestamp)) throw unsigned('`webhook-timestamp` is no time.')
  if (Math.abs(clock.now() - Number(timestamp) * 1000) > toleranceMs) {
    throw unsigned('It was not signed just now: it may be a replayed one.')
  }
  const text =
    typeof body === 'string' ? body : new TextDecoder('utf-8', { ignoreBOM: true }).decode(body)
  const message = new TextEncoder().encode(`${id}.${timestamp}.${text}`)
  const secrets = typeof secret === 'string' ? [secret] : secret
  for (const each of secrets) {
    const key = await keyOf(each)
    for (const signature of signatures) {
      if (await crypto.subtle.verify('HMAC', key, signature, message)) return eventIn(text)
    }
  }
  throw unsigned('None of its signatures is by this secret.')
}

function headerOf(headers: HeadersLike, name: string): string {
  const value = typeof headers.get === 'function' ? headers.get(name) : fieldOf(headers, name)
  if (typeof value === 'string' && value !== '') return value
  throw unsigned(`There is no \`${name}\`.`)
}

/** Of Node's own, which are in lower case, and of objects that keep what was sent. */
const fieldOf = (headers: object, name: string): unknown =>
  Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1]

/** `v1,BASE64 v1,BASE64`; of other kinds nothing is known here. */
function signaturesIn(text: string): Uint8Array<ArrayBuffer>[] {
  return text
    .split(' ', SIGNATURES_MAX)
    .filter((each) => each.startsWith('v1,'))
    .flatMap((each) => decoded(each.slice(3)) ?? [])
}

function decoded(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return new Uint8Array(base64pad.baseDecode(base64))
  } catch {
    return undefined
  }
}

function keyOf(secret: string): Promise<CryptoKey> {
  const bytes = secret.startsWith(SECRET_PREFIX)
    ? decoded(secret.slice(SECRET_PREFIX.length))
    : undefined
  if (bytes === undefined || bytes.length === 0) {
    throw new PinaivuError('invalid_webhook_secret', 'A signing secret is `whsec_` and base64.')
  }
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

function eventIn(text: string): DeliveredEvent {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PinaivuError('malformed', 'The body of the delivery is no JSON.', { cause })
  }
}

const unsigned = (why: string) =>
  new PinaivuError('invalid_webhook_signature', `The delivery cannot be trusted. ${why}`)
