import { BusyError, InvalidError, PeerError } from '../../base/errors.ts'
import type { Capability } from '../../wire/capability.ts'
import { refusedFor } from '../unable.ts'

// Whoever asks learns what to do, and nothing of the server behind the model: neither where it is, nor
// what it is called, nor what it said. All of that may be somebody's inner network.

/** What its error answer says, as far as it is looked at. */
export interface Complaint {
  status: number
  /** `error.type`, `error.code` and the message, in lower case: searched, never shown. */
  text: string
  retryAfterMs?: number
}

const RETRY_MS_MIN = 1000
const RETRY_MS_MAX = 60_000

/** No connection comes about, or it ends before an answer begins. */
export const unreachable = (cause?: unknown): PeerError =>
  new PeerError(
    'model_failed',
    'The server behind this model cannot be reached. Ask again later.',
    {
      param: 'model',
      cause,
    },
  )

/** It began, and then it broke off. */
export const brokeOff = (cause?: unknown): PeerError =>
  new PeerError(
    'engine_failed',
    'The server behind this model broke off while it wrote this answer. Ask again.',
    { cause },
  )

/** What it says is not what such servers say. `cause` is for the log. */
export const garbled = (what: string): PeerError =>
  new PeerError(
    'engine_failed',
    'The server behind this model answered what cannot be read. Ask again, or ask another model.',
    { cause: new Error(what) },
  )

/** It is for the model to call functions as it may; `cause` is for the log. */
export const wrongCall = (what: string): PeerError =>
  new PeerError(
    'engine_failed',
    'The model did not call functions as it was to. Ask again, or ask another model.',
    { cause: new Error(what) },
  )

export const noJson = (): PeerError =>
  new PeerError(
    'engine_failed',
    'The model was to write JSON, and wrote something else. Ask again, or ask another model.',
  )

/** It takes its time: for the first token, or for the next one. */
export const tooSlow = (what: string, ms: number): PeerError =>
  new PeerError(
    'deadline_exceeded',
    `The server behind this model sent no ${what} for ${Math.round(ms / 1000)} s. Ask again.`,
  )

export const notGoingOn = (): PeerError =>
  new PeerError('unsupported', 'This model begins answers, and goes on with nobody else’s.')

export const unsupported = (param: string): PeerError =>
  new InvalidError(
    param,
    `The server behind this model does not do '${param}'. Leave it out, or ask another model.`,
    'unsupported_parameter',
  )

const failed = (): PeerError =>
  new PeerError('engine_failed', 'The server behind this model failed. Ask again.')

const tooLong = (): PeerError =>
  new PeerError(
    'context_length_exceeded',
    'This request is longer than the context of the model. Shorten it, or ask for fewer tokens.',
  )

const refused = (): PeerError =>
  new PeerError(
    'unsupported_value',
    'The server behind this model refuses this request. Ask with fewer options, or another model.',
  )

/** llama-server has a type for it, vLLM, SGLang and Ollama a sentence. */
const speaksOfLength =
  /exceed_context_size|context_length_exceeded|(context|input|prompt).{0,40}(length|size|window|long)|maximum.{0,20}context/

const speaksOf: Readonly<Record<Capability, RegExp>> = {
  tools: /\btools?\b|tool_|\bfunctions?\b|--jinja/,
  vision: /\bimages?\b|image_url|vision|multi-?modal|mmproj/,
  json: /response_format|\bjson|schema|grammar|guided|structured/,
}
const saysNo = /not support|unsupported|not available|requires? /

/** What it does not do, of what it was asked for; llama-server says so with a 500. */
function denied({ status, text }: Complaint, needs: readonly Capability[]): Capability | undefined {
  if (status !== 400 && status !== 422 && !(status >= 500 && saysNo.test(text))) return undefined
  return needs.find((need) => speaksOf[need].test(text))
}

/**
 * What an answer with another status than 200 means for whoever asked. `needs`: what was asked for that
 * not every model does.
 */
export function complained(complaint: Complaint, needs: readonly Capability[] = []): PeerError {
  const { status, text, retryAfterMs = RETRY_MS_MIN } = complaint
  const need = speaksOfLength.test(text) ? undefined : denied(complaint, needs)
  if (need !== undefined) return refusedFor(need)
  switch (status) {
    case 400:
    case 413:
    case 422:
      return speaksOfLength.test(text) ? tooLong() : refused()
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 407:
    case 410:
      // Nothing that the one who asks could do: the owner sees in the model's state what to do.
      return unreachable(new Error(`it answered ${status}`))
    case 408:
    case 425:
    case 429:
    case 503: {
      const ms = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, retryAfterMs))
      const seconds = Math.ceil(ms / 1000)
      return new BusyError(
        `The server behind this model is busy. Ask again in about ${seconds} s.`,
        ms,
      )
    }
    // Only an inference server's own: nobody here looks where a redirect leads.
    default:
      return status >= 500 ? failed() : garbled(`it answered ${status}`)
  }
}
