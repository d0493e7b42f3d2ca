import { jsonValue, textKey, type ValueCodec } from '../../storage/codec.ts'
import { joinBytes } from '../../wire/octets.ts'

/** An answer as it is given again. */
export interface KeptAnswer {
  status: number
  headers: Readonly<Record<string, string>>
  /** After the body; of a stream alone. */
  trailers: Readonly<Record<string, string>>
  isStream: boolean
  body: Uint8Array
}

/** What is known of a request with an `Idempotency-Key`. */
export interface AnswerRow {
  /** Of its body. */
  fingerprint: string
  requestId: string
  /** Milliseconds since the epoch. */
  expiresAt: number
  /**
   * `begun`: its work may have been done; `not kept`: it has an answer that was too large;
   * `sealed`: the answer is encrypted.
   */
  state: 'begun' | 'answered' | 'sealed' | 'not kept'
  answer?: KeptAnswer
}

const LINE_FEED = 0x0a
const noBytes = new Uint8Array(0)
const states: readonly unknown[] = ['begun', 'answered', 'sealed', 'not kept']

/** What JSON can say in one line, which has no line feed, and the body after it. */
const answerRow: ValueCodec<AnswerRow> = {
  encode({ answer, ...row }) {
    const { body = noBytes, ...rest } = answer ?? {}
    const head = JSON.stringify(answer === undefined ? row : { ...row, answer: rest })
    return joinBytes(new TextEncoder().encode(head), Uint8Array.of(LINE_FEED), body)
  },
  decode(bytes) {
    const end = bytes.indexOf(LINE_FEED)
    const row = checkedHead(JSON.parse(Buffer.from(bytes.subarray(0, end)).toString('utf8')))
    if (row.answer === undefined) return row
    return { ...row, answer: { ...row.answer, body: bytes.slice(end + 1) } }
  },
}

function checkedHead(value: unknown): AnswerRow {
  const row = value as Partial<AnswerRow>
  const texts = typeof row.fingerprint === 'string' && typeof row.requestId === 'string'
  const hasAnswer = row.state === 'answered' || row.state === 'sealed'
  const isWhole = hasAnswer === (typeof row.answer?.status === 'number')
  if (!texts || !Number.isSafeInteger(row.expiresAt) || !states.includes(row.state) || !isWhole) {
    throw new TypeError('not the answer to a request')
  }
  return row as AnswerRow
}

/** By account and the hash of what the request is known by. */
export const answerRows = { key: textKey, value: answerRow }

/** The same in order of their ends, with the bytes of the body. */
export const answerEnds = {
  key: textKey,
  value: jsonValue((value): number => {
    if (!Number.isSafeInteger(value)) throw new TypeError('not a number of bytes')
    return value as number
  }),
}

const TIME_DIGITS = 15

export const endKey = (expiresAt: number, id: string): string =>
  `${String(expiresAt).padStart(TIME_DIGITS, '0')}/${id}`

/** The key in the other table. */
export const idOfEnd = (key: string): string => key.slice(TIME_DIGITS + 1)
