import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { PinaivuError } from './pinaivu-error.ts'

/** What the client uses of `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What all calls of a client have in common. */
export interface Setting {
  /** Without a slash at its end. */
  baseURL: string
  apiKey: string | undefined
  fetch: Fetch
  timeoutMs: number
  quietMs: number
  maxRetries: number
  answerBytesMax: number
  clock: Clock
  random: Random
}

/** What a caller may say of one call. */
export interface CallOptions {
  /** Ends the call, and the reading of a stream that it began. */
  signal?: AbortSignal | undefined
  /** So long all of the call may take with its tries; a stream, until it begins. */
  timeoutMs?: number | undefined
  maxRetries?: number | undefined
  /**
   * Of a POST. By default each call has a key of its own, the same in all its tries, so that none of
   * them is done or charged twice; but work with a key is done to its end although its caller
   * leaves. `null`: no key. A stream, which is there to be stopped, has none unless it is given one.
   */
  idempotencyKey?: string | null | undefined
}

export interface Operation {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Made by `path`. */
  path: string
  query?: Readonly<Record<string, string | number | null | undefined>> | undefined
  /** Sent as JSON. */
  body?: object | undefined
  /** Made when it is asked for, as that may take a while. */
  form?: () => Promise<FormData>
  /** Anybody may ask, also a page of another origin, as long as it brings no key. */
  open?: true
  /** What comes is read while it is made. */
  streams?: true
  headers?: Readonly<Record<string, string>>
  /** A status above 299 that is an answer, and no failure. */
  alsoOk?: number
}

/** What is known of an answer before its body. */
export type ResponseHead = Pick<Response, 'status' | 'headers'>

/** A path with the ids of whoever asks: each fills its own place, and none leads elsewhere. */
export function path(parts: TemplateStringsArray, ...ids: string[]): string {
  return parts.reduce((whole, part, at) => whole + place(ids[at - 1]) + part)
}

function place(id: string | undefined): string {
  if (typeof id === 'string' && !/^\.{0,2}$/.test(id)) return encodeURIComponent(id.toWellFormed())
  throw new PinaivuError('invalid_value', `Expected an id, got ${JSON.stringify(id)}.`)
}

/** What can stand in a header. The key itself is nobody's to read. */
export function checkedKey(name: string, key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new PinaivuError('invalid_value', `Expected 1 to 255 visible ASCII characters as ${name}.`)
}

export function urlOf(baseURL: string, { path: to, query = {} }: Operation): string {
  const asked = Object.entries(query).filter(([, value]) => value != null)
  if (asked.length === 0) return baseURL + to
  const search = new URLSearchParams(asked.map(([name, value]) => [name, String(value)]))
  return `${baseURL}${to}?${search}`
}
