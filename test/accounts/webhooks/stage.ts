import type { AccountEvent, AccountEventType } from '../../../src/accounts/events.ts'
import type { WebhookEventType } from '../../../src/accounts/webhooks/endpoint-record.ts'
import type { DeliveryRow } from '../../../src/accounts/webhooks/event-record.ts'
import type { Posted, PostRequest } from '../../../src/accounts/webhooks/post.ts'
import { type WebhookOptions, Webhooks } from '../../../src/accounts/webhooks/webhooks.ts'
import type { LogData, Logger } from '../../../src/base/logger.ts'
import { noMetrics } from '../../../src/base/metrics.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import type { Backend } from '../../../src/storage/backend.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { openStoreOn } from '../../../src/storage/store.ts'
import { FakeClock } from '../../base/fake-clock.ts'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

export interface Letter extends PostRequest {
  /** `webhook-id` */
  id: string
  /** When it came. */
  at: number
}

/** All receivers in the world, and what they answer. */
export class Mailbox {
  readonly got: Letter[] = []
  answer: (letter: Letter, signal: AbortSignal) => Posted | Promise<Posted> = () => says(200)
  readonly #clock: FakeClock

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  readonly check = async () => {}
  readonly post = async (request: PostRequest, signal: AbortSignal): Promise<Posted> => {
    const id = request.headers['webhook-id'] ?? ''
    const letter = { ...request, id, at: this.#clock.now() }
    this.got.push(letter)
    return this.answer(letter, signal)
  }

  of(url: string): Letter[] {
    return this.got.filter((letter) => letter.url === url)
  }
}

export const says = (status: number): Posted => ({ ms: 5, status })
export const never = (): Promise<Posted> => new Promise(() => {})

/** Gives up when the peer stops, as a connection does. */
export const until = (signal: AbortSignal): Promise<Posted> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

export interface Stage {
  clock: FakeClock
  random: Random
  backend: Backend
  mailbox: Mailbox
  logged: { message: string; data: LogData | undefined }[]
}

export function newStage(parts: Partial<Stage> = {}): Stage {
  const { clock = new FakeClock() } = parts
  return {
    clock,
    random: seededRandom(7),
    backend: new MemoryBackend(),
    mailbox: new Mailbox(clock),
    logged: [],
    ...parts,
  }
}

export async function openOn(stage: Stage, options: Partial<WebhookOptions> = {}) {
  const { clock, random, backend, mailbox, logged } = stage
  const note = (message: string, data?: LogData) => void logged.push({ message, data })
  const logger: Logger = {
    debug() {},
    info() {},
    warn: note,
    error: note,
    child: () => logger,
  }
  const store = await openStoreOn(backend, { logger })
  const webhooks = await Webhooks.open(
    { store, clock, random, logger, metrics: noMetrics, poster: mailbox },
    { userAgent: 'test/1', ...options },
  )
  return { store, webhooks }
}

export const signal = new AbortController().signal

export function endpoint(
  webhooks: Webhooks,
  url: string,
  { account = 'ada', types = ['chat.completed'] as WebhookEventType[] } = {},
) {
  const choices = { name: '', url, eventTypes: types, disabled: false }
  return webhooks.create(account, choices, { signal })
}

export const event = (
  n: number,
  type: AccountEventType = 'chat.completed',
  account = 'ada',
): AccountEvent => ({ account, type, data: { object: { id: `chat_${n}`, n } } })

export async function deliveriesOf(webhooks: Webhooks, id: string, account = 'ada') {
  const found: DeliveryRow[] = []
  for await (const each of webhooks.deliveries(account, id, {})) found.push(each)
  return found
}

export async function eventsOf(webhooks: Webhooks, account = 'ada', type?: string) {
  const found = []
  for await (const each of webhooks.events(account, {}, type)) found.push(each)
  return found
}
