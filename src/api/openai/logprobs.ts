import type { TokenLogprob } from '../../wire/chunk.ts'

/** What OpenAI writes for "as good as impossible"; JSON has no minus infinity. */
const LOGPROB_MIN = -9999

export const finite = (logprob: number): number =>
  Number.isFinite(logprob) ? logprob : LOGPROB_MIN

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
