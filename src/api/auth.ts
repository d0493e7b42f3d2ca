import type { IncomingHttpHeaders } from 'node:http'
import type { Principal } from '../accounts/principal.ts'
import { PeerError } from '../base/errors.ts'
import type { Access } from './route.ts'

/** What the surface needs to know of keys. */
export interface Keys {
  /** Throws `invalid_api_key`, `api_key_revoked` or `api_key_expired`. Never waits. */
  verify(secret: string): Principal
}

const bearer = /^bearer +(\S+) *$/i

/** Checks the key that came in `Authorization: Bearer` or `X-API-Key` against what a route asks. */
export function authenticate(
  headers: IncomingHttpHeaders,
  keys: Keys,
  access: Exclude<Access, 'public'>,
): Principal {
  const principal = keys.verify(secretOf(headers))
  if (access !== 'key' && !principal.scopes.has(access)) {
    throw new PeerError(
      'insufficient_scope',
      `This key lacks the scope ${access}. Use a key that has it, or create one.`,
    )
  }
  return principal
}

/** The API key that came with a request. */
export function secretOf(headers: IncomingHttpHeaders): string {
  const { authorization } = headers
  if (authorization !== undefined) {
    const secret = bearer.exec(authorization)?.[1]
    if (secret !== undefined) return secret
    throw new PeerError(
      'invalid_api_key',
      'The Authorization header must read `Bearer YOUR_KEY`, with one space and nothing after.',
    )
  }
  const plain = headers['x-api-key']
  if (typeof plain === 'string' && plain !== '') return plain
  throw new PeerError(
    'api_key_missing',
    'This endpoint needs an API key: send `Authorization: Bearer YOUR_KEY`.',
  )
}
