import { InvalidError } from '../../base/errors.ts'
import { parseCid } from '../../wire/cid.ts'

/** The same text. Throws `invalid_cid`, which names the parameter that it was in. */
export function checkedCid(text: string, param: string): string {
  try {
    parseCid(text)
    return text
  } catch (error) {
    if (!(error instanceof InvalidError)) throw error
    throw new InvalidError(param, error.message, error.code)
  }
}
