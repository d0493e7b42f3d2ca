import type { AnswerFormat } from '../../wire/functions.ts'
import { fieldsOf } from './json.ts'
import { garbled, noJson } from './upstream-errors.ts'

/** In UTF-16 units: more than a context has room for. */
const TEXT_MAX = 4 * 1024 * 1024

/** Of an answer that is to be JSON: some servers take no notice of that, and say so nowhere. */
export class JsonCheck {
  readonly #type: AnswerFormat['type']
  #parts: string[] = []
  #units = 0

  constructor(type: AnswerFormat['type']) {
    this.#type = type
  }

  add(text: string): void {
    this.#units += text.length
    if (this.#units > TEXT_MAX) throw garbled('JSON without an end')
    this.#parts.push(text)
  }

  /** Throws where a whole answer is none. What a schema says of it is between model and client. */
  end(): void {
    let value: unknown
    try {
      value = JSON.parse(this.#parts.join(''))
    } catch {
      throw noJson()
    }
    if (this.#type === 'json' && fieldsOf(value) === undefined) throw noJson()
  }
}
