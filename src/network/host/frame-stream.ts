import type { Stream } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { DeadlineError, PeerError } from '../../base/errors.ts'
import { waiting } from '../../base/waiting.ts'
import type { FrameStream, Wait } from '../network.ts'
import { checkFrame, FrameDecoder, joinFrames } from './frame-codec.ts'
import { frameLimits as limits } from './limits.ts'

export interface FrameStreamComponents {
  stream: Stream
  peerId: string
  clock: Clock
  /** Called once, when the other side breaks the rules of framing. */
  onFault(error: PeerError): void
  /** Of a stream whose protocol is not negotiated yet: what either side says first, if it speaks it. */
  agreement?: readonly Uint8Array[]
}

/** Frames over a libp2p stream. What each wait and buffer may take stands in `frameLimits`. */
export class Libp2pFrameStream implements FrameStream {
  readonly peerId: string
  readonly ended: AbortSignal
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #onFault: (error: PeerError) => void
  readonly #end = new AbortController()
  #received = new FrameDecoder()
  #error: Error | undefined
  #reader: PromiseWithResolvers<void> | undefined
  /** Of the last wait to read. */
  #readSignal: AbortSignal | undefined
  /** Frames since the event loop could turn to others. */
  #readInTurn = 0
  /** The rest of what the other side has to say before its own first frame. */
  readonly #agreement: Uint8Array[]
  #paused = false
  #resuming = false
  /** The other side has said that it is done; unlike a connection that is gone. */
  #remoteDone = false
  #unsent: Uint8Array[] = []
  #unsentBytes = 0
  #writers: (() => void)[] = []
  #closed = false
  #cancelFrameTimer: (() => void) | undefined
  #cancelStallTimer: (() => void) | undefined

  constructor({ stream, peerId, clock, onFault, agreement = [] }: FrameStreamComponents) {
    this.peerId = peerId
    this.ended = this.#end.signal
    this.#stream = stream
    this.#clock = clock
    this.#onFault = onFault
    this.#agreement = [...agreement]
    // The other side may have said all it has to say before anybody listened here.
    this.#remoteDone = stream.remoteWriteStatus === 'closed' && stream.status === 'open'
    stream.addEventListener('message', ({ data }) => {
      if (data instanceof Uint8Array) this.#received.push(data)
      else for (const part of data) this.#received.push(part)
      this.#pauseIfFull()
      if (this.#agreement.length > 0) this.#agree()
      this.#reader?.resolve()
    })
    stream.addEventListener('remoteCloseWrite', () => {
      this.#remoteDone = true
      this.#reader?.resolve()
    })
    stream.addEventListener('drain', () => {
      this.#stopStallTimer()
      // The stream itself sends what it held back in a microtask, which was queued before this one.
      queueMicrotask(() => this.#wakeWriters())
    })
    stream.addEventListener('close', ({ error }) => this.#onClose(error))
    if (stream.status !== 'open') this.#onClose(undefined)
    else for (const line of agreement) this.write(line)
  }

  async read({ signal }: Wait): Promise<Uint8Array | undefined> {
    for (;;) {
      signal.throwIfAborted()
      const frame = this.#next()
      if (frame !== undefined) {
        if (++this.#readInTurn >= limits.framesPerTurn) await this.#nextTurn()
        return frame
      }
      if (this.#error !== undefined) throw this.#error
      if (this.#remoteDone && this.#stream.readBufferLength === 0) {
        if (!this.#received.isWithinFrame) return undefined
        throw this.#fault('truncated_frame', 'The stream ended within a frame.')
      }
      if (this.#received.isWithinFrame) this.#startFrameTimer()
      try {
        await this.#arrival(signal)
      } finally {
        this.#reader = undefined
        this.#readInTurn = 0
      }
    }
  }

  async #nextTurn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#readInTurn = 0
  }

  /** Listens to a signal once for all waits with it: there is one for each token. */
  #arrival(signal: AbortSignal): Promise<void> {
    if (signal !== this.#readSignal) {
      this.#readSignal?.removeEventListener('abort', this.#onReadAbort)
      signal.addEventListener('abort', this.#onReadAbort)
      this.#readSignal = signal
    }
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }

  readonly #onReadAbort = () => this.#reader?.reject(this.#readSignal?.reason)

  write(frame: Uint8Array): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#closed) throw new PeerError('stream_closed', 'This part of the stream has ended.')
    checkFrame(frame)
    if (this.#unsent.length === 0) queueMicrotask(() => this.#flush())
    this.#unsent.push(frame)
    this.#unsentBytes += frame.length
    if (this.#unsentBytes >= limits.sendBytes) this.#flush()
  }

  async writable({ signal }: Wait): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      this.#flush()
      if (this.#error !== undefined) throw this.#error
      const { writableNeedsDrain, writeBufferLength } = this.#stream
      const hasRoom = !writableNeedsDrain && writeBufferLength < limits.unsentBytesMax
      // Until it is known to speak the protocol, the other side gets no more than fits in at once.
      if (hasRoom && this.#agreement.length === 0) return
      await waiting(signal, (wake) => this.#writers.push(wake))
    }
  }

  async close(): Promise<void> {
    if (this.#closed || this.#error !== undefined) return
    this.#flush()
    this.#closed = true
    const limit = { ms: limits.closeMs, what: 'Closing a stream', signal: this.ended }
    try {
      await within(this.#clock, limit, (signal) => this.#stream.close({ signal }))
    } catch (error) {
      this.reset(error as Error)
    }
  }

  reset(reason: Error): void {
    if (this.ended.aborted) return
    this.#received = new FrameDecoder()
    this.#finish(reason)
    this.#stream.abort(reason)
  }

  /** Resets the stream if the other side has not sent a whole frame by then. */
  expectFirstFrame(): void {
    this.#startFrameTimer()
  }

  #agree(): void {
    while (this.#agreement.length > 0) {
      const line = this.#next()
      if (line === undefined) return
      if (Buffer.compare(line, this.#agreement[0] as Uint8Array) !== 0) {
        this.reset(new PeerError('unsupported_protocol', `${this.peerId} does not speak that.`))
        return
      }
      this.#agreement.shift()
    }
    this.#wakeWriters()
  }

  #next(): Uint8Array | undefined {
    let frame: Uint8Array | undefined
    try {
      frame = this.#received.next()
    } catch (error) {
      this.reset(error as PeerError)
      this.#onFault(error as PeerError)
      throw error
    }
    if (frame !== undefined) this.#stopFrameTimer()
    if (this.#paused && this.#received.bytes < limits.unreadBytesMax / 2) this.#resume()
    return frame
  }

  #pauseIfFull(): void {
    if (this.#paused || this.#resuming || this.#received.bytes < limits.unreadBytesMax) return
    // Its readable end closes by itself once all has arrived, and can't be paused any more then.
    if (this.#stream.readStatus !== 'readable') return
    this.#stream.pause()
    this.#paused = true
  }

  /**
   * The stream hands over what it held and only then tells its muxer to go on. A pause from within
   * would be overwritten by that, so it waits until all is over.
   */
  #resume(): void {
    this.#paused = false
    if (this.#stream.readStatus !== 'paused') return
    this.#resuming = true
    try {
      this.#stream.resume()
    } finally {
      this.#resuming = false
    }
    this.#pauseIfFull()
  }

  #flush(): void {
    if (this.#unsent.length === 0) return
    const bytes = joinFrames(this.#unsent)
    this.#unsent = []
    this.#unsentBytes = 0
    try {
      if (this.#stream.send(bytes)) return
    } catch (error) {
      this.#onClose(error as Error)
      return
    }
    this.#cancelStallTimer ??= this.#clock.after(limits.stallMs, () =>
      this.reset(new DeadlineError(`${this.peerId} taking what is sent`, limits.stallMs)),
    )
  }

  #startFrameTimer(): void {
    this.#cancelFrameTimer ??= this.#clock.after(limits.frameMs, () => {
      // Nobody waits for it here: then it may lie there, or be held back by us.
      if (this.#reader === undefined) this.#cancelFrameTimer = undefined
      else this.#fault('slow_frame', `A frame took longer than ${limits.frameMs} ms.`)
    })
  }

  #stopFrameTimer(): void {
    this.#cancelFrameTimer?.()
    this.#cancelFrameTimer = undefined
  }

  #stopStallTimer(): void {
    this.#cancelStallTimer?.()
    this.#cancelStallTimer = undefined
  }

  #fault(code: string, message: string): PeerError {
    const error = new PeerError(code, message, { action: 'penalise' })
    this.reset(error)
    this.#onFault(error)
    return error
  }

  #onClose(error: Error | undefined): void {
    const clean = error === undefined && this.#remoteDone
    this.#finish(clean ? undefined : lost(this.#stream.status, error))
  }

  #finish(error: Error | undefined): void {
    if (this.ended.aborted) return
    this.#error = error
    this.#closed = true
    this.#unsent = []
    this.#stopFrameTimer()
    this.#stopStallTimer()
    this.#end.abort(error ?? new PeerError('stream_closed', 'Both sides have ended the stream.'))
    this.#readSignal?.removeEventListener('abort', this.#onReadAbort)
    this.#reader?.resolve()
    this.#wakeWriters()
  }

  #wakeWriters(): void {
    for (const wake of this.#writers.splice(0)) wake()
  }
}

function lost(status: Stream['status'], cause: Error | undefined): PeerError {
  return status === 'reset'
    ? new PeerError('stream_reset', 'The other side has reset the stream.', { cause })
    : new PeerError('connection_lost', 'The connection of this stream is gone.', { cause })
}
