import { InvalidError } from '../../base/errors.ts'
import { TOKEN_IDS_MAX } from './fields.ts'

/** Turns the token ids that OpenAI's clients send back into text. */
export interface TokenDecoder {
  /** `param` names the array in the request, for an id that does not exist. */
  decode(ids: readonly number[], param: string): string
}

let loaded: Promise<TokenDecoder> | undefined

/**
 * Read on first use: few clients send ids, and the table is a megabyte. The package's own decoder
 * would spend 0.4 s and 110 MB on maps for encoding.
 */
export function cl100k(): Promise<TokenDecoder> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<TokenDecoder> {
  const { default: table } = await import('js-tiktoken/ranks/cl100k_base')
  const tokens: string[] = []
  for (const line of table.bpe_ranks.split('\n')) {
    const [, offset, ...encoded] = line.split(' ')
    for (const [at, token] of encoded.entries()) tokens[Number(offset) + at] = token
  }
  for (const [text, id] of Object.entries(table.special_tokens)) {
    tokens[id] = Buffer.from(text).toString('base64')
  }
  return {
    decode(ids, param) {
      const parts = ids.map((id, at) => {
        const token = tokens[id]
        if (token === undefined) {
          throw new InvalidError(`${param}[${at}]`, `Token ${id} is not in the cl100k vocabulary.`)
        }
        return Buffer.from(token, 'base64')
      })
      return Buffer.concat(parts).toString('utf8')
    },
  }
}

export type TextInput = string | string[] | number[] | number[][]

/** The texts of a `prompt` or an `input`, in whichever of OpenAI's four forms they came. */
export async function toTexts(input: TextInput, param: string): Promise<string[]> {
  if (typeof input === 'string') return [input]
  if (isTexts(input)) return input
  const count = isTokens(input) ? input.length : input.reduce((sum, ids) => sum + ids.length, 0)
  if (count > TOKEN_IDS_MAX) {
    const message = `Invalid '${param}': ${count} token ids; at most ${TOKEN_IDS_MAX} are taken.`
    throw new InvalidError(param, message)
  }
  const decoder = await cl100k()
  if (isTokens(input)) return [decoder.decode(input, param)]
  return input.map((ids, at) => decoder.decode(ids, `${param}[${at}]`))
}

const isTexts = (input: string[] | number[] | number[][]): input is string[] =>
  typeof input[0] === 'string'

const isTokens = (input: number[] | number[][]): input is number[] => typeof input[0] === 'number'
