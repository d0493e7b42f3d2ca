import type { Clock } from '../../base/clock.ts'
import { unlessAborted } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import { protocols } from '../../wire/protocols.ts'
import type { ModelLoad } from '../../wire/status.ts'
import { encodeStatus } from '../../wire/status-codec.ts'
import type { FrameStream, HandlerLimits, Network } from '../network.ts'
import type { OwnAdvert } from './own-advert.ts'

/** Whoever watches hears at least so often; silence of twice that makes it ask. */
const HEARTBEAT_MS = 5_000
/** A busy provider changes with every job that begins and ends. */
const PUSH_EVERY_MS = 50
/** As many as a reader takes. */
const MODELS_MAX = 64
/** Each keeps a connection, of which a peer has 300: there is room for others. */
export const WATCHERS_MAX = 128
/** One, and another while the first is found dead; a reader may change its mind now and then. */
const LIMITS: HandlerLimits = { streamsMax: 4, opensPerSecond: 8 }

export interface StatusPublisherComponents {
  network: Pick<Network, 'handle'>
  load(): ModelLoad[]
  own: Pick<OwnAdvert, 'opened' | 'sequence'>
  clock: Clock
}

/** `status/1`, the provider's side: each who opens a stream is told the load, now and from then on. */
export class StatusPublisher {
  readonly #components: StatusPublisherComponents
  readonly #streams = new Set<FrameStream>()
  readonly #waiting = new Set<() => void>()
  #version = 0
  #encoded: { bytes: Uint8Array; version: number; at: number } | undefined
  #pushedAt = Number.NEGATIVE_INFINITY
  #cancelPush: (() => void) | undefined
  #draining = false

  constructor(components: StatusPublisherComponents) {
    this.#components = components
    components.network.handle(protocols.status, (stream) => this.#serve(stream), LIMITS)
  }

  /** The first change goes out at once, those right after it together. */
  changed(): void {
    const { clock } = this.#components
    if (this.#cancelPush !== undefined) return
    const sinceMs = clock.elapsed() - this.#pushedAt
    if (sinceMs >= PUSH_EVERY_MS) this.#push()
    else this.#cancelPush = clock.after(PUSH_EVERY_MS - sinceMs, () => this.#push())
  }

  /** This peer takes no new jobs from here on. */
  drain(): void {
    this.#draining = true
    this.#push()
  }

  stop(): void {
    this.#cancelPush?.()
    const reason = new PeerError('stopped', 'This peer has stopped.')
    for (const stream of this.#streams) stream.reset(reason)
  }

  #push(): void {
    this.#cancelPush?.()
    this.#cancelPush = undefined
    this.#pushedAt = this.#components.clock.elapsed()
    this.#version++
    for (const wake of [...this.#waiting]) wake()
  }

  /** A slow reader holds up nobody: it is told the newest when it has read the one before. */
  async #serve(stream: FrameStream): Promise<void> {
    const signal = stream.ended
    await unlessAborted(this.#components.own.opened, signal)
    if (this.#streams.size >= WATCHERS_MAX) {
      throw new PeerError('too_many_watchers', 'This peer is watched by as many as it can be.')
    }
    this.#streams.add(stream)
    try {
      while (!signal.aborted) {
        const version = this.#version
        stream.write(this.#bytes())
        await stream.writable({ signal })
        if (version === this.#version) await this.#change(signal)
      }
    } finally {
      this.#streams.delete(stream)
    }
  }

  /** Resolves at the next push, when it is time for a sign of life, or when the signal aborts. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#components.clock.after(HEARTBEAT_MS, done)
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  /** Put together once for all who are told at the same time. */
  #bytes(): Uint8Array {
    const { load, own, clock } = this.#components
    const at = clock.elapsed()
    const made = this.#encoded
    if (made?.version === this.#version && at - made.at < PUSH_EVERY_MS) return made.bytes
    const bytes = encodeStatus({
      advertSequence: own.sequence,
      draining: this.#draining,
      models: load().slice(0, MODELS_MAX),
    })
    this.#encoded = { bytes, version: this.#version, at }
    return bytes
  }
}
