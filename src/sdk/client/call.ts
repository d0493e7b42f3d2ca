import type { ResponseHead } from './operation.ts'

/** What stood around an answer. */
export interface AnswerHead {
  status: number
  /** `x-pinaivu-receipt-cid`, `x-ratelimit-remaining-tokens` and the like; in a page, ours alone. */
  headers: Headers
  /** `req_…` */
  requestId: string | undefined
}

/** An answer on its way. */
export interface Call<T> extends Promise<T> {
  /** The same, with what stood around it. */
  withResponse(): Promise<{ data: T; response: AnswerHead }>
}

export function callOf<T>(answered: Promise<{ data: T; response: ResponseHead }>): Call<T> {
  const data = answered.then((answer) => answer.data)
  return Object.assign(data, {
    withResponse: async () => {
      // Nobody waits for this one then.
      data.catch(() => {})
      const { response, ...rest } = await answered
      return { ...rest, response: headOf(response) }
    },
  })
}

export const headOf = ({ status, headers }: ResponseHead): AnswerHead => ({
  status,
  headers,
  requestId: headers.get('x-request-id') ?? undefined,
})
