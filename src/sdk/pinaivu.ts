import { type Clock, systemClock } from '../base/clock.ts'
import { type Random, systemRandom } from '../base/random.ts'
import { checkedKey, type Fetch, type Setting } from './client/operation.ts'
import { PinaivuError } from './client/pinaivu-error.ts'
import { Transport } from './client/transport.ts'
import { Credits, Keys, Usage } from './resources/account.ts'
import { Chat } from './resources/chat.ts'
import { Completions } from './resources/completions.ts'
import { Embeddings } from './resources/embeddings.ts'
import { Files } from './resources/files.ts'
import { Log } from './resources/log.ts'
import { Models } from './resources/models.ts'
import { Network, Service } from './resources/network.ts'
import { Receipts } from './resources/receipts.ts'
import { Sessions } from './resources/sessions.ts'
import { Webhooks } from './resources/webhooks.ts'

export interface PinaivuOptions {
  /** `sk-pnv-…`; without one, only what is open to everybody can be asked. */
  apiKey?: string | undefined
  /** Where the peer is; a `/v1` at its end is taken off. */
  baseURL?: string | undefined
  /** Instead of the runtime's own. */
  fetch?: Fetch | undefined
  /** So long a call may take with all its tries; a stream, until it begins. Default: 10 minutes. */
  timeoutMs?: number | undefined
  /** So long nothing may come of a stream: a peer says every 10 s that it is there. Default: 60 s. */
  quietMs?: number | undefined
  /** After a first try that failed in passing. Default: 2. */
  maxRetries?: number | undefined
  /** Of an answer that is read as a whole. Default: 64 MiB. */
  answerBytesMax?: number | undefined
  /** For tests. */
  clock?: Clock
  random?: Random
}

const defaults = {
  baseURL: 'http://127.0.0.1:7462',
  // As long as OpenAI's clients wait: a long answer takes its time.
  timeoutMs: 10 * 60 * 1000,
  quietMs: 60_000,
  maxRetries: 2,
  // Embeddings of all that one request may hold, as numbers.
  answerBytesMax: 64 * 1024 * 1024,
}

/**
 * A client of one peer, for any JavaScript runtime.
 *
 * ```ts
 * const pinaivu = new Pinaivu({ apiKey })
 * const { message, session_id } = await pinaivu.chat.send({ model, message: 'Hello' })
 * ```
 *
 * Whatever fails throws a PinaivuError. What fails in passing is tried again, and never done twice.
 */
export class Pinaivu {
  readonly baseURL: string
  readonly chat: Chat
  readonly completions: Completions
  readonly credits: Credits
  readonly embeddings: Embeddings
  readonly files: Files
  readonly keys: Keys
  readonly log: Log
  readonly models: Models
  readonly network: Network
  readonly receipts: Receipts
  readonly service: Service
  readonly sessions: Sessions
  readonly usage: Usage
  readonly webhooks: Webhooks

  constructor(options: PinaivuOptions = {}) {
    const setting = settingOf(options)
    const transport = new Transport(setting)
    this.baseURL = setting.baseURL
    this.chat = new Chat(transport)
    this.completions = new Completions(transport)
    this.credits = new Credits(transport)
    this.embeddings = new Embeddings(transport)
    this.files = new Files(transport)
    this.keys = new Keys(transport)
    this.log = new Log(transport)
    this.models = new Models(transport)
    this.network = new Network(transport)
    this.receipts = new Receipts(transport)
    this.service = new Service(transport)
    this.sessions = new Sessions(transport)
    this.usage = new Usage(transport)
    this.webhooks = new Webhooks(transport)
  }
}

function settingOf(options: PinaivuOptions): Setting {
  const { fetch: own, clock = systemClock, random = systemRandom, apiKey } = options
  return {
    ...{ clock, random },
    apiKey: apiKey === undefined ? undefined : checkedKey('apiKey', apiKey),
    baseURL: checkedBase(options.baseURL ?? defaults.baseURL),
    // A browser's own must not be called as a method of something else.
    fetch: own ?? ((url, init) => fetch(url, init)),
    timeoutMs: options.timeoutMs ?? defaults.timeoutMs,
    quietMs: options.quietMs ?? defaults.quietMs,
    maxRetries: options.maxRetries ?? defaults.maxRetries,
    answerBytesMax: options.answerBytesMax ?? defaults.answerBytesMax,
  }
}

function checkedBase(text: string): string {
  if (/^https?:\/\/[^/?#]+[^?#]*$/.test(text)) return text.replace(/\/*$/, '').replace(/\/v1$/, '')
  throw new PinaivuError('invalid_base_url', `Expected http://… or https://…, got '${text}'.`)
}
