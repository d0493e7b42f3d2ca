import type { Clock } from '../../src/base/clock.ts'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Fetch } from '../../src/sdk/client/operation.ts'
import { Pinaivu, type PinaivuOptions } from '../../src/sdk/index.ts'

export interface Sent {
  url: string
  method: string | undefined
  headers: Headers
  body: RequestInit['body']
  signal: AbortSignal
  redirect: string | undefined
}

/** What the peer does with a request. */
export type Step = Response | Error | (() => Response | Promise<Response>)

/** A `fetch` that does one step after the other, and the last one again and again. */
export function scripted(...steps: Step[]) {
  const sent: Sent[] = []
  const fetch: Fetch = async (url, { method, headers, body, signal, redirect }) => {
    const step = steps[Math.min(sent.length, steps.length - 1)]
    sent.push({
      ...{ url, method, redirect, headers: new Headers(headers), body: body ?? null },
      signal: signal as AbortSignal,
    })
    if (step instanceof Error) throw step
    if (step === undefined) throw new Error('nothing is scripted')
    return step instanceof Response ? step.clone() : step()
  }
  return { fetch, sent }
}

/** A client whose waits are over at once, and are written down. */
export function client(steps: Step[], options: PinaivuOptions = {}) {
  const { fetch, sent } = scripted(...steps)
  const waits: number[] = []
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms) => {
      waits.push(ms)
    },
  }
  const random = seededRandom(7)
  const pinaivu = new Pinaivu({ apiKey: 'sk-pnv-x', fetch, clock, random, ...options })
  return { pinaivu, sent, waits }
}

export const answer = (value: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(value), {
    headers: { 'content-type': 'application/json', 'x-request-id': 'req_1', ...headers },
  })

export const refusal = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })

export const events = (pieces: readonly Uint8Array[]) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece)
        controller.close()
      },
    }),
    { headers: { 'content-type': 'text/event-stream', 'x-request-id': 'req_1' } },
  )

/** A body of which only the beginning comes. */
export const stalled = (beginning: string, onCancel = () => {}) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(beginning)),
      cancel: onCancel,
    }),
    { headers: { 'content-type': 'text/event-stream' } },
  )

export const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error,
  )
