import { hash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { BusyError, LimitError, messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import { ownKey } from '../own-rows.ts'
import {
  type AnswerRow,
  answerEnds,
  answerRows,
  endKey,
  idOfEnd,
  type KeptAnswer,
} from './answer-rows.ts'
import { Holdings } from './holdings.ts'
import { type Recorded, Recording } from './recording.ts'
import { type SealSecret, seal, unseal } from './seal.ts'

export interface IdempotencyComponents {
  store: Store
  clock: Pick<Clock, 'now'>
  random: Random
  logger: Logger
  /** Whether the work for a request was settled: with its entry in the log, or never. */
  wasSettled(requestId: string): Promise<boolean>
}

export const defaultIdempotency = {
  /** As long as Stripe keeps them; whoever asks again later means another request. */
  keptMs: 24 * 60 * 60 * 1000,
  /** Twelve a second, all day long; some 500 bytes each without their answers. */
  rowsMax: 1_000_000,
  bytesMax: 1024 * 1024 * 1024,
  /** Of one answer: some 2,000 streamed tokens with their frames, or 100 pages as a whole. */
  answerBytesMax: 1024 * 1024,
  /** Streams that are under way hold this in memory, together. */
  recordedBytesMax: 64 * 1024 * 1024,
  /** Requests at a time; their work goes on without their clients. */
  underwayMax: 4_096,
  sweptEveryMs: 10 * 60 * 1000,
}

export type IdempotencyOptions = typeof defaultIdempotency

/**
 * What a request does. `work` is settled under the request's id, so that after a crash it is known
 * whether it was; of a `creation` that is not known. A `secret` shows a creation's secret, too.
 */
export type Deed = 'work' | 'creation' | 'secret'

export interface Use {
  account: string
  /** Where it was sent: the same key elsewhere is another. */
  route: string
  key: string
  /** Of the body. */
  fingerprint: string
  requestId: string
  deed: Deed
  /** The key that the request came with. */
  apiKey: string
}

interface Underway {
  fingerprint: string
  /** Set while the database is asked; resolves when that is decided. */
  looking: Promise<void> | undefined
}

/** Rows that are deleted in one batch. */
const SWEEP_ROWS = 1_000

/**
 * Whoever asks twice with one `Idempotency-Key` is served once, and told the same again.
 *
 * That a request begins is on the disk before its work does, and its answer before it is sent. So a
 * crash leaves one of three: nothing, when the work never began; an answer, which is given again;
 * or a beginning. Work is settled in one commit with its entry: if there is none, nothing was
 * charged, and it is done anew; if there is one, or of a creation nobody knows, it is refused with
 * `idempotency_interrupted`. Nothing is ever charged twice for one key.
 */
export class Idempotency {
  readonly #components: IdempotencyComponents
  readonly #options: IdempotencyOptions
  readonly #answers: Table<string, AnswerRow>
  readonly #ends: Table<string, number>
  readonly #holdings: Holdings
  readonly #underway = new Map<string, Underway>()
  readonly #recorded: Recorded = { bytes: 0 }
  #counted: Promise<void> | undefined
  #sweeping: Promise<void> | undefined
  /** Since before the sweep that is on: what it has read of them may be of the day before. */
  readonly #begun = new Set<string>()
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor(components: IdempotencyComponents, options: Partial<IdempotencyOptions> = {}) {
    this.#components = components
    this.#options = { ...defaultIdempotency, ...options }
    this.#answers = components.store.table('idempotency-answers', answerRows)
    this.#ends = components.store.table('idempotency-ends', answerEnds)
    this.#holdings = new Holdings(this.#options)
  }

  /** The answer of the first time, or the claim to be the first. Throws what else it may be told. */
  async begin(use: Use): Promise<KeptAnswer | Claim> {
    this.#counted ??= this.#count()
    await this.#counted
    this.#sweepNowAndThen()
    const id = ownKey(use.account, hash('sha256', `${use.route}\n${use.key}`, 'hex'))
    const { decided, underway } = await this.#enter(id, use)
    try {
      const answer = await this.#known(id, use)
      if (answer === undefined) return await this.#claim(id, use)
      this.#leave(id, use.account)
      return answer
    } catch (error) {
      this.#leave(id, use.account)
      throw error
    } finally {
      underway.looking = undefined
      decided()
    }
  }

  /** One at a time goes on from here. */
  async #enter(id: string, { account, fingerprint }: Use) {
    for (;;) {
      const other = this.#underway.get(id)
      if (other === undefined) break
      if (other.looking === undefined) throw inProgress(other.fingerprint === fingerprint)
      await other.looking
    }
    if (!this.#holdings.hasRoom(account, 'underway')) {
      throw new BusyError('Too many requests with an Idempotency-Key are under way.')
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const underway: Underway = { fingerprint, looking: promise }
    this.#underway.set(id, underway)
    if (this.#sweeping !== undefined) this.#begun.add(id)
    this.#holdings.add(account, 'underway', 1)
    return { underway, decided: resolve }
  }

  #leave(id: string, account: string): void {
    if (this.#underway.delete(id)) this.#holdings.add(account, 'underway', -1)
  }

  /** Undefined where the work is to be done. */
  async #known(id: string, use: Use): Promise<KeptAnswer | undefined> {
    const row = await this.#answers.get(id)
    if (row === undefined || row.expiresAt <= this.#components.clock.now()) return undefined
    if (row.fingerprint !== use.fingerprint) throw conflict()
    if (row.state === 'not kept') throw notKept(row, 'it was too large')
    if (row.state === 'begun') {
      const mayBeDone = use.deed !== 'work' || (await this.#components.wasSettled(row.requestId))
      if (mayBeDone) throw interrupted(row, use.deed)
      return undefined
    }
    const answer = row.answer as KeptAnswer
    if (row.state === 'answered') return answer
    const body = unseal(answer.body, secretOf(use))
    if (body === undefined) throw notKept(row, 'only the API key that asked is shown its secret')
    return { ...answer, body }
  }

  async #claim(id: string, use: Use): Promise<Claim> {
    const { store, clock } = this.#components
    const { account, fingerprint, requestId } = use
    if (!this.#holdings.hasRoom(account, 'rows')) {
      await this.#sweep()
      if (!this.#holdings.hasRoom(account, 'rows')) throw full()
    }
    const expiresAt = clock.now() + this.#options.keptMs
    const row: AnswerRow = { fingerprint, requestId, expiresAt, state: 'begun' }
    this.#holdings.add(account, 'rows', 1)
    const batch = store
      .batch()
      .put(this.#answers, id, row)
      .put(this.#ends, endKey(expiresAt, id), 0)
    try {
      await store.commit(batch)
    } catch (error) {
      this.#holdings.add(account, 'rows', -1)
      throw error
    }
    const recording = new Recording(this.#options, this.#recorded)
    return new Claim(recording, {
      keep: (answer) => this.#ended(id, use, () => this.#keep(id, use, row, answer)),
      drop: () => this.#ended(id, use, () => this.#drop(id, use, row)),
    })
  }

  async #ended(id: string, { account, requestId }: Use, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      // What it is remembered by is that it began: nobody does it twice.
      const data = { requestId, error: messageOf(error) }
      this.#components.logger.warn('an answer was not kept for its Idempotency-Key', data)
    } finally {
      this.#leave(id, account)
    }
  }

  async #keep(id: string, use: Use, row: AnswerRow, answer: KeptAnswer | undefined): Promise<void> {
    const { store, random } = this.#components
    const { account, deed } = use
    const { answerBytesMax } = this.#options
    const bytes = answer?.body.length ?? 0
    const fits = bytes <= answerBytesMax && this.#holdings.hasRoom(account, 'bytes', bytes)
    const batch = store.batch()
    if (answer === undefined || !fits) {
      await store.commit(batch.put(this.#answers, id, { ...row, state: 'not kept' }))
      return
    }
    const body = deed === 'secret' ? seal(answer.body, secretOf(use), random) : answer.body
    const state = deed === 'secret' ? 'sealed' : 'answered'
    batch.put(this.#answers, id, { ...row, state, answer: { ...answer, body } })
    batch.put(this.#ends, endKey(row.expiresAt, id), bytes)
    this.#holdings.add(account, 'bytes', bytes)
    await store.commit(batch)
  }

  /** Not awaited by the disk: if it comes back after a crash, its work is known not to be settled. */
  async #drop(id: string, { account }: Use, { expiresAt }: AnswerRow): Promise<void> {
    const { store } = this.#components
    const batch = store.batch()
    await store.write(batch.del(this.#answers, id).del(this.#ends, endKey(expiresAt, id)))
    this.#holdings.add(account, 'rows', -1)
  }

  /** What earlier runs left: at most so many rows, read once and without their answers. */
  async #count(): Promise<void> {
    for await (const [key, bytes] of this.#ends.range()) {
      const account = accountOf(idOfEnd(key))
      this.#holdings.add(account, 'rows', 1)
      if (bytes > 0) this.#holdings.add(account, 'bytes', bytes)
    }
  }

  /** Waits for what nobody else waits for. */
  async close(): Promise<void> {
    await this.#sweeping?.catch(() => {})
  }

  #sweepNowAndThen(): void {
    const { clock, logger } = this.#components
    const now = clock.now()
    if (now < this.#sweptAt + this.#options.sweptEveryMs) return
    this.#sweptAt = now
    this.#sweep().catch((error: unknown) => {
      logger.warn('old answers were not removed', { error: messageOf(error) })
    })
  }

  #sweep(): Promise<void> {
    if (this.#sweeping !== undefined) return this.#sweeping
    for (const id of this.#underway.keys()) this.#begun.add(id)
    this.#sweeping = this.#sweepOnce().finally(() => {
      this.#sweeping = undefined
      this.#begun.clear()
    })
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    const { store, clock } = this.#components
    for (;;) {
      const ended: [key: string, bytes: number][] = []
      const range = { lt: endKey(clock.now() + 1, ''), limit: SWEEP_ROWS }
      for await (const end of this.#ends.range(range)) ended.push(end)
      const batch = store.batch()
      const over: string[] = []
      for (const [key] of ended) {
        const id = idOfEnd(key)
        batch.del(this.#ends, key)
        // It may be in use again by now.
        const row = await this.#answers.get(id)
        if (row !== undefined && key === endKey(row.expiresAt, id)) over.push(id)
      }
      batch.last((rows) => {
        for (const id of over) if (!this.#begun.has(id)) rows.del(this.#answers, id)
      })
      await store.write(batch)
      for (const [key, bytes] of ended) {
        const account = accountOf(idOfEnd(key))
        this.#holdings.add(account, 'rows', -1)
        if (bytes > 0) this.#holdings.add(account, 'bytes', -bytes)
      }
      if (ended.length < SWEEP_ROWS) return
    }
  }
}

interface Ends {
  keep(answer: KeptAnswer | undefined): Promise<void>
  drop(): Promise<void>
}

/** The right to do the work. To be brought to one of its ends, whatever happens. */
export class Claim {
  readonly recording: Recording
  readonly #ends: Ends

  constructor(recording: Recording, ends: Ends) {
    this.recording = recording
    this.#ends = ends
  }

  /** It is answered: resolves when that outlasts a crash. Undefined: with what can't be kept. */
  async keep(answer: KeptAnswer | undefined): Promise<void> {
    this.recording.end()
    await this.#ends.keep(answer)
  }

  /** Nothing came of it: whoever asks again is served. */
  async drop(): Promise<void> {
    this.recording.end()
    await this.#ends.drop()
  }
}

const accountOf = (id: string): string => id.slice(0, id.indexOf('/'))

const secretOf = ({ apiKey, key }: Use): SealSecret => ({ apiKey, idempotencyKey: key })

const conflict = () =>
  new PeerError(
    'idempotency_conflict',
    'This Idempotency-Key was used with another body. Take a new key for a new request.',
  )

const inProgress = (isSame: boolean) =>
  isSame
    ? new PeerError(
        'idempotency_in_progress',
        'A request with this Idempotency-Key is still running. Ask again with the same key.',
      )
    : conflict()

const interrupted = ({ requestId }: AnswerRow, deed: Deed) =>
  new PeerError(
    'idempotency_interrupted',
    deed === 'work'
      ? `The peer stopped before it could answer ${requestId}, whose work was done and charged: see ` +
          `GET /v1/receipts/${requestId}. For another answer, take a new Idempotency-Key.`
      : `The peer stopped before it could answer ${requestId}, which may have been done: look for ` +
          'what it was to make. If it is not there, take a new Idempotency-Key.',
  )

const notKept = ({ requestId }: AnswerRow, why: string) =>
  new PeerError(
    'idempotency_answer_not_kept',
    `${requestId} was answered, but that answer can't be given again: ${why}. It was not done anew.`,
  )

const full = () =>
  new LimitError(
    'Too many requests with an Idempotency-Key within a day. Send it without, or later.',
    60_000,
  )
