import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { FrameStream, Network } from '../../network/network.ts'
import type { Drafting, Guess } from '../../wire/drafter.ts'
import type { Fault, FromProvider, Signed } from '../../wire/generate.ts'
import { decodeFromProvider, encodeToProvider, PIECE_BYTES_MAX } from '../../wire/generate-codec.ts'
import { TOKENS_MAX } from '../../wire/generate-shape.ts'
import { protocols } from '../../wire/protocols.ts'
import { misbehaved } from '../remote/answer-check.ts'
import type { DraftAccount } from './draft-account.ts'

/** A drafter that is reached later than this is reached too late. */
const OPEN_MS = 2_000
/** No frame at all for so long, and it is gone. */
const SILENCE_MS = 3_000
/** From what is told to it at the end until it has said what it wants: nobody waits for its disk. */
const END_MS = 5_000
/** From the last word until it has ended the stream. */
const PART_MS = 1_000
/** Ids that it may say at first, and for each token that it is told of: it guesses some way ahead. */
const SAID_AT_FIRST = 1_024
const SAID_PER_TOKEN = 64
/** Who has guessed fewer than this part of so many tokens is of no use. */
const JUDGED_AFTER = 64
const USEFUL = 0.1
/** What was lost, or was of no use, is not asked for a while. */
const REST_MS = 60_000

export interface RemoteDraftingComponents {
  network: Pick<Network, 'isConnected' | 'connect' | 'open' | 'fault'>
  clock: Clock
}

export interface DraftOrder {
  peerId: string
  addresses: readonly string[]
  job: Signed
  body: Uint8Array
  account: DraftAccount
  guess: Guess
  /** At once; otherwise when its guesses are first wanted, as they may never be. */
  isEager: boolean
  /** It is gone or of no use. Called once, and not after `end`. */
  onLost(): void
  /** It is not to be asked for so long. `code`: what it refused with. */
  onRest(why: string, restMs: number, code?: string): void
  onParting(parting: Promise<void>): void
}

/**
 * Another peer drafts for an answer that is written here. It is told of tokens as they are drawn,
 * and guesses ahead; nobody waits for it, and its guesses are only compared.
 */
export class RemoteDrafting implements Drafting {
  readonly name: string
  readonly #components: RemoteDraftingComponents
  readonly #order: DraftOrder
  readonly #ending = new AbortController()
  #told = 0
  #said = 0
  /** Guesses that were there in time. */
  #right = 0
  #wake = () => {}
  /** Its guesses are wanted by nobody any more. */
  #isOver = false
  /** How many of them are in the answer, once that is known. */
  #taken: number | undefined
  #isOpened = false
  #cancelEnd = () => {}

  constructor(components: RemoteDraftingComponents, order: DraftOrder) {
    this.name = order.peerId
    this.#components = components
    this.#order = order
    if (order.isEager) this.#begin()
  }

  committed(choice: number, first: number, ids: readonly number[]): void {
    const { hash } = this.#order.account
    if (choice !== 0 || first > hash.length || this.#isOver) return
    this.#begin()
    this.#right += hash.committed(first, ids)
    if (hash.length >= JUDGED_AFTER && this.#right < hash.length * USEFUL) this.#leave()
    this.#wake()
  }

  /** Where nobody knows how many of its guesses are in the answer, those are that came true in time. */
  end(accepted = this.#right): void {
    if (this.#isOver) return
    this.#isOver = true
    if (!this.#isOpened) return
    this.#taken = accepted
    this.#cancelEnd = this.#components.clock.after(END_MS, () => this.#ending.abort())
    this.#wake()
  }

  /** It is of no use, but has done what it has done. */
  #leave(): void {
    const { onRest, onLost } = this.#order
    this.end()
    onRest('It guesses too little of what is said.', REST_MS)
    onLost()
  }

  #begin(): void {
    if (this.#isOpened) return
    this.#isOpened = true
    this.#order.onParting(this.#run())
  }

  async #run(): Promise<void> {
    let stream: FrameStream | undefined
    try {
      stream = await this.#open()
      const telling = this.#tell(stream)
      // The one who reads finds out what is wrong.
      telling.catch(() => {})
      await this.#hear(stream)
    } catch (error) {
      this.#lose(error)
      if (error instanceof PeerError && error.action !== undefined && error.action !== 'ignore') {
        this.#components.network.fault(this.name, error.action, error.message)
      }
    } finally {
      this.#isOver = true
      this.#cancelEnd()
      this.#ending.abort()
      this.#wake()
      stream?.reset(new PeerError('job_over', 'The job is over.'))
    }
  }

  async #open(): Promise<FrameStream> {
    const { network, clock } = this.#components
    const { peerId, addresses, job, body } = this.#order
    const wait = { ms: OPEN_MS, what: 'Reaching the drafter', signal: this.#ending.signal }
    const stream = await within(clock, wait, async (signal) => {
      if (!network.isConnected(peerId)) await network.connect(peerId, addresses, { signal })
      return await network.open(peerId, protocols.generate, { signal })
    })
    stream.write(encodeToProvider({ type: 'job', job }))
    for (let at = 0; at < body.length; at += PIECE_BYTES_MAX) {
      stream.write(
        encodeToProvider({ type: 'body', bytes: body.subarray(at, at + PIECE_BYTES_MAX) }),
      )
      await within(clock, wait, (signal) => stream.writable({ signal }))
    }
    return stream
  }

  /** Tells it what is new, as fast as it reads, and in the end how much of what it said is taken. */
  async #tell(stream: FrameStream): Promise<void> {
    const { signal } = this.#ending
    const { hash } = this.#order.account
    while (!signal.aborted) {
      const ids = hash.told(this.#told, this.#told + TOKENS_MAX)
      if (ids.length > 0) {
        stream.write(encodeToProvider({ type: 'committed', choice: 0, first: this.#told, ids }))
        this.#told += ids.length
        await stream.writable({ signal })
        continue
      }
      if (this.#taken !== undefined) {
        stream.write(encodeToProvider({ type: 'cancel', received: [this.#taken] }))
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #hear(stream: FrameStream): Promise<void> {
    for (;;) {
      const bytes = await this.#next(stream)
      if (bytes === undefined) throw new PeerError('drafter_lost', 'It ended the stream.')
      const frame = decodeFromProvider(bytes)
      if (frame === undefined) continue
      if (frame.type === 'done') return await this.#settle(stream, frame)
      this.#take(frame)
    }
  }

  /** What is owed is in the log before it hears that it is. */
  async #settle(
    stream: FrameStream,
    frame: Extract<FromProvider, { type: 'done' }>,
  ): Promise<void> {
    if (this.#taken === undefined) throw misbehaved('it ended before it was told to')
    this.#cancelEnd()
    const ack = await this.#order.account.settle(frame, this.#taken)
    if (ack !== undefined) {
      const { entry, dispute, isLie } = ack
      stream.write(encodeToProvider({ type: 'ack', entry, dispute }))
      if (dispute !== '') this.#order.onRest(`What it signed is disputed (${dispute}).`, REST_MS)
      if (isLie) {
        const { message } = misbehaved(`it signed what is not so (${dispute})`)
        this.#components.network.fault(this.name, 'penalise', message)
      }
    }
    await this.#part(stream)
  }

  /** What was written arrives. */
  async #part(stream: FrameStream): Promise<void> {
    stream.close().catch(() => {})
    const wait = { ms: PART_MS, what: 'Ending the stream', signal: this.#ending.signal }
    await within(this.#components.clock, wait, (signal) => stream.read({ signal })).catch(() => {})
  }

  async #next(stream: FrameStream): Promise<Uint8Array | undefined> {
    const wait = { ms: SILENCE_MS, what: 'The drafter', signal: this.#ending.signal }
    return await within(this.#components.clock, wait, (signal) =>
      unlessAborted(stream.read({ signal }), signal),
    )
  }

  #take(frame: FromProvider): void {
    switch (frame.type) {
      case 'refuse':
      case 'failed':
        throw new Refused(frame)
      case 'accept':
        this.#order.account.accepted(frame)
        return
      case 'progress':
        return
      case 'tokens':
        this.#guessed(frame)
        return
      default:
        throw misbehaved(`nobody asked for ${frame.type}`)
    }
  }

  #guessed({ choice, first, ids }: Extract<FromProvider, { type: 'tokens' }>): void {
    const { account, guess } = this.#order
    const { length } = account.hash
    this.#said += ids.length
    if (choice !== 0) throw misbehaved('there is no such choice')
    if (this.#said > SAID_AT_FIRST + SAID_PER_TOKEN * length) {
      throw misbehaved('it drafts without end')
    }
    if (first > length + SAID_AT_FIRST) throw misbehaved('drafts too far ahead')
    account.guessed(first, ids)
    if (!this.#isOver) guess(choice, first, ids)
  }

  #lose(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ending.abort()
    const { code, retryAfterMs = 0 }: Partial<Refused> = error instanceof Refused ? error : {}
    this.#order.onRest(messageOf(error), retryAfterMs || REST_MS, code)
    this.#order.onLost()
  }
}

/** It says why it does not draft. */
class Refused extends Error {
  readonly code: string
  readonly retryAfterMs: number

  constructor({ code, retryAfterMs }: Fault) {
    super(`It does not draft (${code}).`)
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}
