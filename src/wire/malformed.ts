import { PeerError } from '../base/errors.ts'

/** A peer's message that breaks its specification. `where` names it: `Advert.ttl_s`. */
export function malformed(where: string, reason: string): PeerError {
  return new PeerError('malformed', `${where} ${reason}.`, { param: where, action: 'penalise' })
}

/** What a newer peer may say and this version does not know, where passing over it would be wrong. */
export function unsupported(code: string, where: string, reason: string): PeerError {
  return new PeerError(code, `${where} ${reason}.`, { param: where, action: 'ignore' })
}
