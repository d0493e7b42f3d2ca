/** What the server, the peer before it and whoever asks agree on. */
export const MODEL = 'instant'
export const TOKENS = 8
/** So that no token waits for the one before it. */
export const PACE_MS = 2

/** Milliseconds, the same in every process of this machine. */
export const now = (): number => performance.timeOrigin + performance.now()
