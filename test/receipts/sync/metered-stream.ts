import type { FrameStream, Wait } from '../../../src/network/network.ts'

/** What went over a stream, as its opener sees it. */
export interface Meter {
  /** Of frames, in both directions, each with the length before it. */
  bytes: number
  /** How often something was waited for that had just been asked, the opening included. */
  roundTrips: number
}

/** Counts what passes, and passes it. */
export class MeteredStream implements FrameStream {
  readonly #stream: FrameStream
  readonly #meter: Meter
  #isAsked = false

  constructor(stream: FrameStream, meter: Meter) {
    this.#stream = stream
    this.#meter = meter
    meter.roundTrips += 1
  }

  get peerId(): string {
    return this.#stream.peerId
  }

  get ended(): AbortSignal {
    return this.#stream.ended
  }

  async read(options: Wait): Promise<Uint8Array | undefined> {
    if (this.#isAsked) this.#meter.roundTrips += 1
    this.#isAsked = false
    const frame = await this.#stream.read(options)
    if (frame !== undefined) this.#meter.bytes += onWire(frame)
    return frame
  }

  write(frame: Uint8Array): void {
    this.#isAsked = true
    this.#meter.bytes += onWire(frame)
    this.#stream.write(frame)
  }

  writable(options: Wait): Promise<void> {
    return this.#stream.writable(options)
  }

  close(): Promise<void> {
    return this.#stream.close()
  }

  reset(reason: Error): void {
    this.#stream.reset(reason)
  }
}

/** A frame's length stands before it, in as few groups of 7 bits as it needs. */
const onWire = ({ length }: Uint8Array): number =>
  length + (length < 2 ** 7 ? 1 : length < 2 ** 14 ? 2 : 3)
