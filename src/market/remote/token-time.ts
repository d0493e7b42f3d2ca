import { parseModelId } from '../../wire/model-id.ts'

/**
 * Behind the first token, whatever else it says: the slowest machines take a second or two for one, and
 * a disk ten at most for what is written behind the last.
 */
export const TOKEN_MS = 12_000

/**
 * The same where nobody else can go on with the answer: a server behind a peer may keep a whole call to itself
 * until it is written, and that peer gives it 60 s.
 */
export const LONE_TOKEN_MS = 65_000

/** By the model's id: what is only declared is one peer's own. */
export const tokenMsOf = (model: string): number =>
  parseModelId(model)?.type === 'declared' ? LONE_TOKEN_MS : TOKEN_MS
