import type { TokenLogprob } from '../../wire/chunk.ts'

/** What OpenAI writes for "as good as impossible"; JSON has no minus infinity. */
const LOGPROB_MIN = -9999

const finite = (logprob: number): number => (Number.isFinite(logprob) ? logprob : LOGPROB_MIN)

/** The `logprobs` of a chat choice. */
export function toChatLogprobs(tokens: readonly TokenLogprob[]) {
  return {
    content: tokens.map(({ token, bytes, logprob, top }) => ({
      token,
      logprob: finite(logprob),
      bytes,
      top_logprobs: top.map((other) => ({
        token: other.token,
        logprob: finite(other.logprob),
        bytes: other.bytes,
      })),
    })),
    refusal: null,
  }
}

/** The `logprobs` of a plain completion: four lists side by side. */
export function toLegacyLogprobs(tokens: readonly TokenLogprob[], firstOffset: number) {
  const offsets: number[] = []
  let offset = firstOffset
  for (const { bytes } of tokens) {
    offsets.push(offset)
    offset += characters(bytes)
  }
  return {
    tokens: tokens.map(legacyToken),
    token_logprobs: tokens.map(({ logprob }) => finite(logprob)),
    // The token itself is listed too, whether or not it is among the likeliest.
    top_logprobs: tokens.map((token) =>
      Object.fromEntries(
        [...token.top, token].map((each) => [legacyToken(each), finite(each.logprob)]),
      ),
    ),
    text_offset: offsets,
  }
}

/** Characters that begin within these bytes, wherever the tokens cut them. */
export const characters = (bytes: readonly number[]): number =>
  bytes.filter((byte) => (byte & 0xc0) !== 0x80).length

/** Parts of characters all read as the same replacement character, but name different tokens. */
function legacyToken({ token, bytes }: { token: string; bytes: readonly number[] }): string {
  if (!token.includes('\ufffd')) return token
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
}
