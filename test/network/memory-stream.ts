import { PeerError } from '../../src/base/errors.ts'
import type { FrameStream, Wait } from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'

/** What may be on its way or unread before `writable` waits, as a window of libp2p would have it. */
const WINDOW_BYTES = 256 * 1024
/** A writer that never waits loses the stream here. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024

/** Carries `task` to the other side, in order; perhaps late, perhaps never. */
export type Carry = (task: () => void) => void

/** One end of a stream within this process. */
export class MemoryStream implements FrameStream {
  readonly peerId: string
  readonly ended: AbortSignal
  readonly #end = new AbortController()
  readonly #carry: Carry
  readonly #frames: Uint8Array[] = []
  #twin!: MemoryStream
  #unread = 0
  #closed = false
  #remoteClosed = false
  #error: Error | undefined
  #reader: (() => void) | undefined
  #writers: (() => void)[] = []

  private constructor(peerId: string, carry: Carry) {
    this.peerId = peerId
    this.#carry = carry
    this.ended = this.#end.signal
  }

  /** Two ends; `peerId` is who each of them talks to. */
  static pair(
    near: { peerId: string; carry: Carry },
    far: { peerId: string; carry: Carry },
  ): [MemoryStream, MemoryStream] {
    const [a, b] = [
      new MemoryStream(near.peerId, near.carry),
      new MemoryStream(far.peerId, far.carry),
    ]
    a.#twin = b
    b.#twin = a
    return [a, b]
  }

  async read({ signal }: Wait): Promise<Uint8Array | undefined> {
    for (;;) {
      signal.throwIfAborted()
      const frame = this.#frames.shift()
      if (frame !== undefined) {
        const twin = this.#twin
        this.#carry(() => twin.#credit(frame.length))
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
    this.#carry(() => twin.#arrive(copy))
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
    if (this.ended.aborted) return
    this.#frames.length = 0
    this.fail(reason)
    const twin = this.#twin
    const told = new PeerError('stream_reset', 'The other side has reset the stream.')
    this.#carry(() => twin.fail(told))
  }

  /** Ends this side at once: the connection is gone, or the other side has reset the stream. */
  fail(error: Error): void {
    if (this.ended.aborted) return
    this.#error = error
    this.#end.abort(error)
    this.#wakeAll()
  }

  #arrive(frame: Uint8Array): void {
    if (this.#error !== undefined) return
    this.#frames.push(frame)
    this.#reader?.()
  }

  #remoteEnded(): void {
    this.#remoteClosed = true
    this.#reader?.()
    this.#endWhenBothHave()
  }

  #credit(bytes: number): void {
    this.#unread -= bytes
    if (this.#unread < WINDOW_BYTES) for (const wake of this.#writers.splice(0)) wake()
  }

  #endWhenBothHave(): void {
    if (this.#closed && this.#remoteClosed && !this.ended.aborted) {
      this.#end.abort(new PeerError('stream_closed', 'Both sides have ended the stream.'))
    }
  }

  #wakeAll(): void {
    this.#reader?.()
    for (const wake of this.#writers.splice(0)) wake()
  }
}

/** Resolves when woken; rejects with the signal's reason. */
export function waiting(signal: AbortSignal, sleep: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    sleep(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
  })
}
