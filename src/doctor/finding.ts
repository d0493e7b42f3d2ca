/** skip: it could not be looked at, and `cause` says why. */
export type Verdict = 'ok' | 'warn' | 'fail' | 'skip'

/** What a check says: how it stands, why, and what to do. */
export interface Found {
  verdict: Verdict
  /** Stable, for programs; `ok` and `skipped` where nothing is to be done. */
  code: string
  /** In plain words; what stands between this and `next` is a space. */
  cause: string
  /** Undefined where nothing is to be done. */
  next?: string
}

export interface Finding extends Found {
  /** What was looked at. */
  check: string
}

export const ok = (cause: string): Found => ({ verdict: 'ok', code: 'ok', cause })

export const skip = (cause: string): Found => ({ verdict: 'skip', code: 'skipped', cause })

/** The peer works, but worse than it could. */
export const warn = (code: string, cause: string, next: string): Found => ({
  verdict: 'warn',
  code,
  cause,
  next,
})

/** The peer doesn't work, or not with others. */
export const fail = (code: string, cause: string, next: string): Found => ({
  verdict: 'fail',
  code,
  cause,
  next,
})

/** A message whose last sentence says what to do, as those of a PeerError, in its two parts. */
export function advised(verdict: 'warn' | 'fail', code: string, message: string): Found {
  const [, cause, next] = /^(.*[.!?])\s+(\S.*)$/s.exec(message) ?? []
  return { verdict, code, cause: cause ?? message, ...(next === undefined ? {} : { next }) }
}
