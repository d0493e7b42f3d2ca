import type { Token, Tokenizer } from 'node-llama-cpp'
import type { PeerError } from '../../../base/errors.ts'
import type { TokenTable } from './token-table.ts'

/**
 * UTF-16 units. In llama.cpp the work on control tokens grows with the square of their number: a
 * megabyte of them takes half a minute, in which the process does nothing else.
 */
const PIECE = 8192

export interface Bound {
  /** In all that one tokenizer is given. */
  tokensMax: number
  /** What is thrown at the first piece that goes beyond. */
  tooLong: () => PeerError
}

/**
 * Gives the tokens of a text as the model's own tokenizer does, but piece by piece, and no more
 * than a job could use: a text of any length holds everybody else up for milliseconds only.
 */
export function boundedTokenizer(
  tokenizer: Tokenizer,
  table: Pick<TokenTable, 'atomicText'>,
  { tokensMax, tooLong }: Bound,
): Tokenizer {
  let left = tokensMax
  const tokenize = (
    text: string,
    special: boolean | 'builtin' = false,
    options?: 'trimLeadingSpace',
  ): Token[] => {
    if (special === 'builtin') return tokenizer(text as 'BOS', special)
    const all: Token[] = []
    const take = (tokens: readonly Token[]) => {
      left -= tokens.length
      if (left < 0) throw tooLong()
      for (const token of tokens) all.push(token)
    }
    let rest = text
    let size = PIECE
    let asked = options
    while (rest.length > size) {
      const head = rest.slice(0, size)
      const tokens = tokenizer(head, special, asked)
      if (tokens.length > left) throw tooLong()
      const [count, cut] = lastSeam(head, tokens, (token) => table.atomicText(token, special))
      if (cut > 0) {
        take(tokens.slice(0, count))
        rest = rest.slice(cut)
        size = PIECE
        asked = undefined
      } else {
        size *= 2
      }
    }
    take(tokenizer(rest, special, asked))
    return all
  }
  const { detokenize, isSpecialToken, isEogToken } = tokenizer
  return Object.assign(tokenize, { detokenize, isSpecialToken, isEogToken })
}

/**
 * Before a token that llama.cpp cuts out of a text before all else, nothing depends on what follows:
 * the number of tokens before the last such one, and where it begins. Otherwise [0, 0].
 */
function lastSeam(
  text: string,
  tokens: readonly Token[],
  atomicText: (token: number) => string | undefined,
): [count: number, cut: number] {
  for (let count = tokens.length - 1; count > 0; count--) {
    const atom = atomicText(tokens[count] ?? 0)
    if (atom !== undefined) return [count, text.lastIndexOf(atom)]
  }
  return [0, 0]
}
