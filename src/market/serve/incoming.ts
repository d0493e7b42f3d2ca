import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import type { FrameStream, Wait } from '../../network/network.ts'
import type { Signed, ToProvider } from '../../wire/generate.ts'
import { decodeToProvider } from '../../wire/generate-codec.ts'
import { malformed } from '../../wire/malformed.ts'
import { Refusal } from './refusal.ts'

/** To the first frame, and to each of the body: a coordinator has them ready when it opens the stream. */
export const FRAME_MS = 5_000
/** For the whole body: 20 MiB at about 3 Mbit/s. */
export const BODY_MS = 60_000

/** What a coordinator sends on one stream. */
export class Incoming {
  readonly #stream: FrameStream
  readonly #clock: Clock

  constructor(stream: FrameStream, clock: Clock) {
    this.#stream = stream
    this.#clock = clock
  }

  /** The next frame; undefined once the coordinator has ended its part. */
  async next(options: Wait): Promise<ToProvider | undefined> {
    for (;;) {
      const bytes = await this.#stream.read(options)
      if (bytes === undefined) return undefined
      const frame = decodeToProvider(bytes)
      // What only a newer version says is passed over.
      if (frame !== undefined) return frame
    }
  }

  async job({ signal }: Wait): Promise<Signed> {
    const frame = await this.#soon('The job', signal)
    if (frame === undefined) throw cancelled()
    if (frame.type !== 'job') throw malformed('ToProvider', 'is no job, as the first one must be')
    return frame.job
  }

  /**
   * At least so many bytes: whoever opens it checks that there are no more. `hold` is told of each
   * part when it is there, and throws where there is no room for it.
   */
  async body(length: number, hold: (bytes: number) => void, { signal }: Wait): Promise<Uint8Array> {
    const whole = { ms: BODY_MS, what: 'The body of the job', signal }
    return await within(this.#clock, whole, async (ending) => {
      const parts = new Parts(length)
      while (parts.bytes < length) {
        const frame = await this.#soon('The next part of the body', ending)
        if (frame === undefined || frame.type === 'cancel') throw cancelled()
        if (frame.type !== 'body') {
          throw malformed('ToProvider', 'is no part of the body, which is not whole yet')
        }
        hold(frame.bytes.length)
        parts.add(frame.bytes)
      }
      return parts.joined()
    })
  }

  #soon(what: string, signal: AbortSignal): Promise<ToProvider | undefined> {
    return within(this.#clock, { ms: FRAME_MS, what, signal }, (ending) =>
      this.next({ signal: ending }),
    )
  }
}

/** Parts that are put together as they come: kept apart, a million of one byte take 200 MB. */
class Parts {
  #room = new Uint8Array()
  #bytes = 0
  readonly #expected: number

  constructor(expected: number) {
    this.#expected = expected
  }

  get bytes(): number {
    return this.#bytes
  }

  add(part: Uint8Array): void {
    const bytes = this.#bytes + part.length
    if (bytes > this.#room.length) this.#grow(bytes)
    this.#room.set(part, this.#bytes)
    this.#bytes = bytes
  }

  joined(): Uint8Array {
    return this.#room.subarray(0, this.#bytes)
  }

  /** Not to what was promised: it may never come. */
  #grow(bytes: number): void {
    const room = new Uint8Array(Math.max(bytes, Math.min(2 * this.#room.length, this.#expected)))
    room.set(this.joined())
    this.#room = room
  }
}

/** Nobody wants it any more. */
function cancelled(): Refusal {
  return new Refusal('cancelled', 'The job was cancelled before it began.')
}
