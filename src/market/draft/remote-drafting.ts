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

/** A drafter that is reached later than this is reached too late. */
const OPEN_MS = 2_000
/** No frame at all for so long, and it is gone. */
const SILENCE_MS = 3_000
/** From what is told to it at the end until it has said that it stops. */
const END_MS = 1_000
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
  guess: Guess
  /** At once; otherwise when its guesses are first wanted, as they may never be. */
  isEager: boolean
  /** It is gone or of no use, and not to be asked for so long. It is called once, and not after `end`. */
  onLost(why: string, restMs: number): void
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
  /** The answer, as far as it is written. */
  readonly #ids: number[] = []
  /** By position: what was guessed last. What was not guessed in time counts as wrong. */
  readonly #guesses: number[] = []
  #told = 0
  #said = 0
  #right = 0
  #wake = () => {}
  #isOver = false
  #isOpened = false
  #cancelEnd = () => {}

  constructor(components: RemoteDraftingComponents, order: DraftOrder) {
    this.name = order.peerId
    this.#components = components
    this.#order = order
    if (order.isEager) this.#begin()
  }

  committed(choice: number, first: number, ids: readonly number[]): void {
    if (choice !== 0 || first > this.#ids.length || this.#isOver) return
    this.#begin()
    for (const id of ids.slice(this.#ids.length - first)) {
      if (this.#guesses[this.#ids.length] === id) this.#right++
      this.#ids.push(id)
    }
    if (this.#ids.length >= JUDGED_AFTER && this.#right < this.#ids.length * USEFUL) {
      this.#lose('It guesses too little of what is said.', REST_MS)
    }
    this.#wake()
  }

  end(): void {
    this.#isOver = true
    this.#wake()
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
      const { retryAfterMs = 0 } = error instanceof Refused ? error : {}
      this.#lose(messageOf(error), retryAfterMs || REST_MS)
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

  /** Tells it what is new, as fast as it reads, and in the end that nothing more is wanted. */
  async #tell(stream: FrameStream): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      const ids = this.#ids.slice(this.#told, this.#told + TOKENS_MAX)
      if (this.#isOver) {
        stream.write(encodeToProvider({ type: 'cancel', received: [this.#right] }))
        this.#cancelEnd = this.#components.clock.after(END_MS, () => this.#ending.abort())
        return
      }
      if (ids.length > 0) {
        stream.write(encodeToProvider({ type: 'committed', choice: 0, first: this.#told, ids }))
        this.#told += ids.length
        await stream.writable({ signal })
        continue
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #hear(stream: FrameStream): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      const bytes = await this.#next(stream)
      if (bytes === undefined) throw new PeerError('drafter_lost', 'It ended the stream.')
      const frame = decodeFromProvider(bytes)
      if (frame === undefined) continue
      if (frame.type === 'done') {
        await unlessAborted(stream.close(), signal).catch(() => {})
        return
      }
      this.#take(frame)
    }
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
      case 'accept': {
        const { input, output } = frame.price
        if (input > 0 || output > 0) throw misbehaved('it asks for more than the job allows')
        return
      }
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
    this.#said += ids.length
    if (choice !== 0) throw misbehaved('there is no such choice')
    if (this.#said > SAID_AT_FIRST + SAID_PER_TOKEN * this.#ids.length) {
      throw misbehaved('it drafts without end')
    }
    if (first > this.#ids.length + SAID_AT_FIRST) throw misbehaved('drafts too far ahead')
    if (this.#isOver) return
    for (const [at, id] of ids.entries()) {
      // What is there already is guessed too late.
      if (first + at >= this.#ids.length) this.#guesses[first + at] = id
    }
    this.#order.guess(choice, first, ids)
  }

  #lose(why: string, restMs: number): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ending.abort()
    this.#order.onLost(why, restMs)
  }
}

/** It says why it does not draft. */
class Refused extends Error {
  readonly retryAfterMs: number

  constructor({ code, retryAfterMs }: Fault) {
    super(`It does not draft (${code}).`)
    this.retryAfterMs = retryAfterMs
  }
}
