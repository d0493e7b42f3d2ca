import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { Watch } from '../../base/watch.ts'
import type { FrameStream } from '../../network/network.ts'
import type { Chunk, Done } from '../../wire/chunk.ts'
import type { FromProvider, ToProvider } from '../../wire/generate.ts'
import { decodeFromProvider, encodeToProvider, PIECE_BYTES_MAX } from '../../wire/generate-codec.ts'
import type { Price } from '../../wire/job.ts'
import { AnswerCheck, cancelledAnswer, misbehaved } from './answer-check.ts'
import { AnswerProof, type Ended } from './answer-proof.ts'
import type { Attempt, Booked, RemoteComponents } from './attempt.ts'
import { GhostCheck } from './ghost-check.ts'
import { faultError, lost, ProviderError } from './provider-error.ts'
import { tokenMsOf } from './token-time.ts'

/** A provider says at once whether it takes a job. */
export const ACCEPT_MS = 2_000
/** What an uplink of 4 Mbit/s carries of a long prompt in a millisecond, on top of that. */
const BODY_BYTES_PER_MS = 512
/** Six times as long as a provider may be quiet. */
export const SILENCE_MS = 3_000
/** A provider stops within 200 ms; the rest is the way. */
export const CANCEL_MS = 1_000

/** One job on one stream. */
export class RemoteRun {
  readonly #network: RemoteComponents['network']
  readonly #clock: Clock
  readonly #attempt: Attempt
  readonly #stream: FrameStream
  readonly #check: AnswerCheck
  readonly #ghosts: GhostCheck
  readonly #proof: AnswerProof
  readonly #watch: Watch
  readonly #end = new AbortController()
  /** Of the stream; it outlives a wait that was given up. */
  #reading: Promise<Uint8Array | undefined> | undefined
  #state: 'asked' | 'accepted' | 'begun' | 'cancelled' | 'over' = 'asked'
  /** What the provider asks, per 1,000 tokens. */
  #price: Price = { input: 0, output: 0 }
  #openCid: string | undefined
  #isAnnounced = false
  /** What had come when it was cancelled. */
  #kept: Done | undefined
  /** What became of its provider, in a word, when that does not say so itself. */
  #loss = 'silent'
  /** When the next token or vector must have come, once the first has. */
  #nextBy = Number.POSITIVE_INFINITY
  readonly #tokenMs: number
  /** For each vector: its input may be as long as a prompt. */
  readonly #vectorMs: number
  /** When the provider must have said that it takes the job, or that it has stopped. */
  #answerBy: number

  constructor(components: RemoteComponents, attempt: Attempt, stream: FrameStream) {
    const { network, clock } = components
    this.#network = network
    this.#clock = clock
    this.#attempt = attempt
    this.#stream = stream
    this.#check = new AnswerCheck(attempt)
    this.#ghosts = new GhostCheck(attempt, this.#check)
    this.#proof = new AnswerProof(components, attempt)
    this.#watch = new Watch(clock)
    this.#tokenMs = tokenMsOf(attempt.commissioned.model)
    this.#vectorMs = attempt.firstTokenBy - clock.elapsed()
    this.#answerBy = clock.elapsed() + ACCEPT_MS + attempt.body.length / BODY_BYTES_PER_MS
  }

  async *chunks(signal: AbortSignal): AsyncGenerator<Chunk> {
    const onAbort = () => this.#cancel()
    signal.addEventListener('abort', onAbort, { once: true })
    let last: FromProvider | undefined
    let done: Done | undefined
    try {
      this.#send()
      if (signal.aborted) this.#cancel()
      while (done === undefined) {
        last = await this.#next()
        const chunk = last === undefined ? this.#cancelled() : this.#take(last)
        if (chunk === undefined) continue
        if (chunk.type === 'done') {
          done = chunk
        } else {
          const handedOverAt = this.#clock.elapsed()
          yield* this.#announced(chunk)
          yield chunk
          // What its reader takes is not the provider's.
          this.#nextBy += this.#clock.elapsed() - handedOverAt
        }
      }
      this.#state = 'over'
    } catch (error) {
      const blamed = this.#blame(error)
      if (this.#state !== 'cancelled') {
        // One that is late is still there to be told to stop, and to say what it has done.
        if (!isLate(blamed)) this.#giveUp()
        throw blamed
      }
      this.#state = 'over'
      last = undefined
      done = this.#cancelled()
    } finally {
      signal.removeEventListener('abort', onAbort)
      // It is at work for a reader that is gone.
      if (this.#state !== 'over') this.#attempt.onParting(this.#stopIt())
    }
    yield await this.#finish(done, last)
  }

  #send(): void {
    const { job, body } = this.#attempt
    this.#write({ type: 'job', job })
    // Whatever keeps the rest of the body from leaving is seen by the one who reads.
    this.#sendBody(body).catch(() => {})
  }

  async #sendBody(body: Uint8Array): Promise<void> {
    const { signal } = this.#end
    for (let at = 0; at < body.length; at += PIECE_BYTES_MAX) {
      if (at > 0) await this.#stream.writable({ signal })
      if (this.#state === 'cancelled') return
      this.#write({ type: 'body', bytes: body.subarray(at, at + PIECE_BYTES_MAX) })
    }
  }

  /** The next frame that this version knows; undefined when a cancelled answer ends without one. */
  async #next(): Promise<FromProvider | undefined> {
    for (;;) {
      const bytes = await this.#read()
      if (bytes === undefined) return undefined
      const frame = decodeFromProvider(bytes)
      if (frame !== undefined) return frame
    }
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      this.#reading ??= this.#stream.read(this.#end)
      const bytes = await this.#watch.over(this.#reading, this.#deadline(), () => this.#tooLate())
      this.#reading = undefined
      if (bytes === undefined) throw lost('broken', 'It ended the stream in the middle.')
      return bytes
    } catch (cause) {
      if (this.#state === 'cancelled') return undefined
      throw cause instanceof ProviderError ? cause : lost('broken', 'The stream broke.', cause)
    }
  }

  #deadline(): number {
    const { firstTokenBy, doneBy } = this.#attempt
    if (this.#state === 'cancelled') return this.#answerBy
    if (this.#state === 'asked') return Math.min(this.#answerBy, firstTokenBy)
    const heardBy = this.#clock.elapsed() + SILENCE_MS
    return Math.min(heardBy, this.#nextBy, this.#state === 'begun' ? doneBy : firstTokenBy)
  }

  #tooLate(): ProviderError {
    const { firstTokenBy, doneBy } = this.#attempt
    if (this.#clock.elapsed() >= (this.#state === 'begun' ? doneBy : firstTokenBy)) {
      return lost('late', 'It was too slow.')
    }
    if (this.#state === 'asked') return lost('silent', 'It did not say whether it takes the job.')
    if (this.#clock.elapsed() >= this.#nextBy) {
      return lost('silent', 'It gave signs of life alone.')
    }
    return lost('silent', `Nothing was heard of it for ${SILENCE_MS} ms.`)
  }

  /** Undefined for a sign of life and no more. */
  #take(frame: FromProvider): Chunk | undefined {
    if (this.#state === 'cancelled') {
      this.#follow(frame)
      if (frame.type === 'done') this.#check.prompt(frame.usage)
      return isLast(frame) ? this.#cancelled() : undefined
    }
    if (this.#state === 'asked') return this.#takeVerdict(frame)
    switch (frame.type) {
      case 'tokens':
      case 'vectors':
        this.#state = 'begun'
        return this.#answer(frame)
      case 'progress': {
        const { queued, prefilled, total, inputTokens } = frame
        return this.#counted(inputTokens) ?? { type: 'progress', queued, prefilled, total }
      }
      case 'provisional':
        return this.#ghosts.provisional(frame)
      case 'rollback':
        return this.#ghosts.rollback(frame)
      case 'commit':
        return this.#ghosts.commit(frame)
      case 'segment':
        return this.#proof.segment(frame, this.#check.inputTokens)
      case 'done':
        // As when its operator stops it.
        if (frame.finish.includes('cancelled')) throw lost('failed', 'It stopped in the middle.')
        this.#ghosts.done(frame)
        return this.#check.done(frame)
      case 'failed':
        throw faultError(frame)
      default:
        throw misbehaved(`nobody asked for ${frame.type}`)
    }
  }

  #takeVerdict(frame: FromProvider): Chunk | undefined {
    if (frame.type === 'refuse') throw faultError(frame)
    if (frame.type !== 'accept') throw misbehaved(`${frame.type} before it accepted`)
    const { maxPrice } = this.#attempt
    if (frame.price.input > maxPrice.input || frame.price.output > maxPrice.output) {
      throw misbehaved('it asks for more than the job allows')
    }
    this.#state = 'accepted'
    this.#check.resumed(frame.resumedAt)
    this.#price = frame.price
    this.#openCid = this.#proof.accepted(frame)
    this.#attempt.onAccepted(frame.allowance)
    return this.#counted(frame.inputTokens)
  }

  /** The prompt, where it was not before. */
  #counted(inputTokens: number): Chunk | undefined {
    if (!this.#check.counted(inputTokens)) return undefined
    return this.#announce(inputTokens)
  }

  /** Some servers count a prompt when they have answered it: no answer waits for that. */
  *#announced({ type }: Chunk): Generator<Chunk> {
    const isAnswer = type === 'tokens' || type === 'vectors'
    if (isAnswer && !this.#isAnnounced) yield this.#announce(0)
  }

  #announce(inputTokens: number): Chunk {
    this.#isAnnounced = true
    const openCid = this.#openCid
    return { type: 'accepted', inputTokens, ...(openCid !== undefined && { openCid }) }
  }

  #answer(frame: Extract<FromProvider, { type: 'tokens' | 'vectors' }>): Chunk {
    if (frame.type === 'tokens') {
      this.#nextBy = this.#clock.elapsed() + this.#tokenMs
      const tokens = this.#check.tokens(frame)
      this.#proof.tokens(tokens)
      return tokens
    }
    this.#nextBy = this.#clock.elapsed() + this.#vectorMs
    const vectors = this.#check.vectors(frame)
    this.#proof.vectors(vectors)
    return vectors
  }

  /** What still comes after a Cancel counts only where it was the end already. */
  #follow(frame: FromProvider): void {
    if (frame.type !== 'tokens' && frame.type !== 'vectors') return
    try {
      this.#answer(frame)
    } catch {
      this.#proof.missed()
    }
  }

  #cancelled(): Done {
    return this.#kept ?? cancelledAnswer(this.#check)
  }

  /** Asks the provider to stop; what it still sends does not count. */
  #cancel(): void {
    if (this.#state === 'cancelled' || this.#state === 'over') return
    this.#state = 'cancelled'
    this.#kept = cancelledAnswer(this.#check)
    this.#proof.cut()
    this.#answerBy = this.#clock.elapsed() + CANCEL_MS
    this.#watch.hurry(this.#answerBy)
    this.#write({ type: 'cancel', received: this.#check.received })
  }

  /** Nobody reads any more; the provider is told, and given the time to stop. */
  async #stopIt(): Promise<void> {
    this.#cancel()
    try {
      for (;;) {
        const frame = await this.#next()
        if (frame !== undefined && this.#take(frame) === undefined) continue
        await this.#finish(this.#cancelled(), frame)
        return
      }
    } catch (error) {
      this.#blame(error)
      if (this.#state !== 'over') await this.#lose(this.#cancelled()).catch(nothing)
    }
  }

  /** Once the answer is in the log, its provider hears that it arrived, and the client the rest. */
  async #finish(done: Done, last: FromProvider | undefined): Promise<Done> {
    this.#state = 'over'
    if (last?.type !== 'done') {
      if (last !== undefined) this.#loss = 'failed'
      return await this.#lose(done)
    }
    const ended = this.#proof.ended(last, done)
    const { dispute = '', isLie = false } = ended?.verdict ?? {}
    if (isLie) {
      const { message } = misbehaved(`it signed what is not so (${dispute})`)
      this.#network.fault(this.#attempt.peerId, 'penalise', message)
    }
    try {
      const told = await this.#attempt.book(this.#booked(ended))
      // Where nothing was done, what there is to tell is not of this provider.
      const entry = ended && told ? told.entry : new Uint8Array()
      this.#acknowledge({ entry, dispute })
      return told === undefined ? done : { ...done, receipt: told.receipt }
    } catch (error) {
      this.#drop()
      throw error
    }
  }

  /** Its provider says nothing more; what had come is in the log all the same. */
  async #lose(done: Done): Promise<Done> {
    this.#drop()
    const told = await this.#attempt.book(this.#booked(this.#proof.lost(done, this.#loss)))
    return told === undefined ? done : { ...done, receipt: told.receipt }
  }

  /** The same, where somebody still waits for the rest. */
  #giveUp(): void {
    this.#drop()
    const ended = this.#proof.lost(this.#cancelled(), this.#loss)
    this.#attempt.onLost(this.#booked(ended), this.#proof.hash)
  }

  #booked(ended: Ended | undefined): Booked | undefined {
    return ended && { ...ended, price: this.#price }
  }

  /** And sees that nothing comes after it. */
  #acknowledge(ack: { entry: Uint8Array; dispute: string }): void {
    this.#write({ type: 'ack', ...ack })
    this.#attempt.onParting(this.#hearEnd(this.#clock.elapsed() + CANCEL_MS))
  }

  async #hearEnd(until: number): Promise<void> {
    this.#stream.close().catch(() => {})
    const reading = this.#stream.read(this.#end)
    const more = await this.#watch
      .over(reading, until, () => this.#tooLate())
      // It has its Ack or is gone, and owes us nothing more in either case.
      .catch(() => 'nothing' as const)
    if (more === undefined) {
      this.#watch.end()
      return
    }
    if (more !== 'nothing') this.#blame(misbehaved('frames after the end of its answer'))
    this.#drop()
  }

  #drop(): void {
    this.#state = 'over'
    this.#watch.end()
    this.#stream.reset(new PeerError('job_over', 'The job is over.'))
    this.#end.abort()
  }

  #write(frame: ToProvider): void {
    try {
      this.#stream.write(encodeToProvider(frame))
    } catch {
      // A stream that ended: the one who reads is told why.
    }
  }

  /** What a provider did wrong is held against it, and comes out as its loss. */
  #blame(error: unknown): unknown {
    const blamed = this.#lossOf(error)
    this.#loss = blamed instanceof ProviderError ? blamed.loss : 'failed'
    return blamed
  }

  #lossOf(error: unknown): unknown {
    if (error instanceof ProviderError || !(error instanceof PeerError)) return error
    const { action = 'ignore', message } = error
    if (action === 'ignore') return lost('failed', message, error)
    this.#network.fault(this.#attempt.peerId, action, message)
    return lost('misbehaved', message, error)
  }
}

const nothing = (): void => {}

const isLate = (error: unknown): boolean => error instanceof ProviderError && error.loss === 'late'

const isLast = ({ type }: FromProvider): boolean =>
  type === 'done' || type === 'failed' || type === 'refuse'
