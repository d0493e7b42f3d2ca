import { PeerError } from '../../../base/errors.ts'
import type { Resume } from '../../../wire/generate.ts'
import type { TokenTable } from './token-table.ts'

/** What was written of a choice before it came here. */
export interface Begun {
  ids: Uint32Array
  /** Those of the ids, one after the other. */
  bytes: Uint8Array
  /** What the client has of it. */
  text: string
  /** Its last token says that it ends there. */
  ended: boolean
}

/** Far more than a stop string has, and so little that it goes out in one frame. */
const HELD_BYTES_MAX = 4 * 1024

export interface BegunOptions {
  contextLength: number
  vocabularySize: number
  /** Its text is nobody's: the ids say all. */
  textless?: boolean | undefined
}

/** The choice's tokens as this model reads them; throws where they can't be tokens of an answer. */
export function begunOf(
  { choice, ids, text }: Resume,
  tokens: TokenTable,
  { contextLength, vocabularySize, textless = false }: BegunOptions,
): Begun {
  if (ids.length >= contextLength) throw invalidResume(choice, 'does not fit into the context')
  if (ids.some((id) => id >= vocabularySize)) {
    throw invalidResume(choice, 'has ids that are no tokens of this model')
  }
  if (ids.slice(0, -1).some((id) => tokens.isEnd(id))) {
    throw invalidResume(choice, 'goes on behind its end')
  }
  const pieces = ids.map((id) => tokens.bytes(id))
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const bytes = Buffer.concat(pieces, length)
  if (!textless && length > Buffer.byteLength(text) + HELD_BYTES_MAX) {
    throw invalidResume(choice, 'has far less text than its ids say')
  }
  const last = ids.at(-1)
  return {
    ids: Uint32Array.from(ids),
    bytes,
    text: textless ? wholeCharacters(bytes) : text,
    ended: last !== undefined && tokens.isEnd(last),
  }
}

const wholeCharacters = (bytes: Uint8Array): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true })

/** Whoever began it may have erred or lied; neither the client nor who asks is at fault. */
export function invalidResume(choice: number, what: string): PeerError {
  return new PeerError('invalid_resume', `What is there of choice ${choice} ${what}.`)
}
