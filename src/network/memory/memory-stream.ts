import { PeerError } from '../../base/errors.ts'
import { waiting } from '../../base/waiting.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'
import type { FrameStream, Wait } from '../network.ts'

/** What may be on its way or unread before `writable` waits, as a window of libp2p would have it. */
const WINDOW_BYTES = 256 * 1024
const CREDIT_BYTES = 32 * 1024
/** A writer that never waits loses the stream here. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024

/** Carries `task`, and what it brings, to the other side, in order; perhaps late, perhaps never. */
export type Carry = (task: () => void, bytes?: Uint8Array) => void

interface End {
  /** Who is at the other end. */
  peerId: string
  protocol: string
  /** Opened from this side. */
  isOwn: boolean
  carry: Carry
  onEnd(stream: MemoryStream): void
}

/** One end of a stream within this process. */
export class MemoryStream implements FrameStream {
  readonly peerId: string
  readonly protocol: string
  readonly isOwn: boolean
  readonly #carry: Carry
  readonly #onEnd: (stream: MemoryStream) => void
  /** Few ask for it, and it costs more than the rest. */
  #end: AbortController | undefined
  #endedFor: Error | undefined
  readonly #frames: Uint8Array[] = []
  #twin!: MemoryStream
  /** Sent, and not said to be read. */
  #unread = 0
  /** Read, and not said to be. */
  #taken = 0
  #closed = false
  #remoteClosed = false
  #error: Error | undefined
  #hasVanished = false
  #reader: (() => void) | undefined
  #writers: (() => void)[] = []

  private constructor({ peerId, protocol, isOwn, carry, onEnd }: End) {
    this.peerId = peerId
    this.protocol = protocol
    this.isOwn = isOwn
    this.#carry = carry
    this.#onEnd = onEnd
  }

  static pair(near: End, far: End): [MemoryStream, MemoryStream] {
    const [a, b] = [new MemoryStream(near), new MemoryStream(far)]
    a.#twin = b
    b.#twin = a
    return [a, b]
  }

  get ended(): AbortSignal {
    if (this.#end === undefined) {
      this.#end = new AbortController()
      if (this.#endedFor !== undefined) this.#end.abort(this.#endedFor)
    }
    return this.#end.signal
  }

  async read({ signal }: Wait): Promise<Uint8Array | undefined> {
    for (;;) {
      signal.throwIfAborted()
      const frame = this.#frames.shift()
      if (frame !== undefined) {
        this.#took(frame.length)
        return frame
      }
      if (this.#error !== undefined) throw this.#error
      if (this.#remoteClosed) return undefined
      await waiting(signal, (wake) => {
        this.#reader = wake
      })
    }
  }

  write(frame: Uint8Array): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#closed) throw new PeerError('stream_closed', 'This part of the stream has ended.')
    if (frame.length === 0 || frame.length > FRAME_BYTES_MAX) {
      throw new PeerError('bad_frame', `A frame has 1 to ${FRAME_BYTES_MAX} bytes.`)
    }
    if (this.#unread > WRITE_BYTES_MAX) {
      const error = new PeerError('write_overrun', 'Wait for writable() before writing more.')
      this.reset(error)
      throw error
    }
    const copy = frame.slice()
    const twin = this.#twin
    this.#unread += copy.length
    this.#carry(() => twin.#arrive(copy), copy)
  }

  async writable({ signal }: Wait): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#error !== undefined) throw this.#error
      if (this.#unread < WINDOW_BYTES) return
      await waiting(signal, (wake) => this.#writers.push(wake))
    }
  }

  async close(): Promise<void> {
    if (this.#closed || this.#error !== undefined) return
    this.#closed = true
    const twin = this.#twin
    this.#carry(() => twin.#remoteEnded())
    this.#endWhenBothHave()
  }

  reset(reason: Error): void {
    if (this.#endedFor !== undefined) return
    this.#frames.length = 0
    this.fail(reason)
    const twin = this.#twin
    const told = new PeerError('stream_reset', 'The other side has reset the stream.')
    this.#carry(() => twin.fail(told))
  }

  /** Its process has ended: nothing of this side happens any more. */
  vanish(): void {
    this.#hasVanished = true
  }

  /** Ends this side at once: the connection is gone, or the other side has reset the stream. */
  fail(error: Error): void {
    if (this.#endedFor !== undefined || this.#hasVanished) return
    this.#error = error
    this.#endFor(error)
    this.#wakeAll()
  }

  #arrive(frame: Uint8Array): void {
    if (this.#error !== undefined || this.#hasVanished) return
    this.#frames.push(frame)
    this.#reader?.()
  }

  #remoteEnded(): void {
    if (this.#hasVanished) return
    this.#remoteClosed = true
    this.#reader?.()
    this.#endWhenBothHave()
  }

  /** The writer is told when it is worth while. */
  #took(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < CREDIT_BYTES) return
    const [taken, twin] = [this.#taken, this.#twin]
    this.#taken = 0
    this.#carry(() => twin.#credit(taken))
  }

  #credit(bytes: number): void {
    if (this.#hasVanished) return
    this.#unread -= bytes
    if (this.#unread < WINDOW_BYTES) for (const wake of this.#writers.splice(0)) wake()
  }

  #endWhenBothHave(): void {
    if (this.#closed && this.#remoteClosed && this.#endedFor === undefined) {
      this.#endFor(new PeerError('stream_closed', 'Both sides have ended the stream.'))
    }
  }

  #endFor(reason: Error): void {
    this.#endedFor = reason
    this.#end?.abort(reason)
    this.#onEnd(this)
  }

  #wakeAll(): void {
    this.#reader?.()
    for (const wake of this.#writers.splice(0)) wake()
  }
}
