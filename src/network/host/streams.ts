import type { Connection, Stream, StreamMuxer } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { BusyError, isAbort, messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Underway } from '../../base/underway.ts'
import { machineOf } from '../net-of.ts'
import type { FrameStream, HandlerLimits, StreamHandler, Wait } from '../network.ts'
import type { Conduct } from './conduct.ts'
import { type Connections, unreachable } from './connections.ts'
import { Libp2pFrameStream } from './frame-stream.ts'
import type { HostNode } from './libp2p-node.ts'
import { conductLimits, connectionLimits, frameLimits, streamLimits } from './limits.ts'
import type { Places } from './places.ts'
import { Rates } from './rates.ts'
import { gateStreams } from './stream-gate.ts'

export interface Handling {
  handler: StreamHandler
  limits: HandlerLimits
}

export interface StreamsComponents {
  node: HostNode
  connections: Connections
  conduct: Conduct
  places: Pick<Places, 'used'>
  clock: Clock
  logger: Logger
}

/** Streams of frames, opened here and by others. */
export class Streams {
  readonly #components: StreamsComponents
  readonly #prefix: string
  readonly #opens: Rates
  readonly #opensOfMachines: Rates
  /** Protocol and peer → how many of its streams are open here. */
  readonly #served = new Map<string, number>()
  /** Protocols that the other side of a connection speaks, as an earlier stream has shown. */
  readonly #spoken = new WeakMap<Connection, Set<string>>()
  readonly #lasting = new Underway<{ frames: FrameStream; connection: Connection }>()

  /** @param prefix what stands in front of each protocol's name on the wire */
  constructor(components: StreamsComponents, prefix: string) {
    this.#components = components
    this.#prefix = prefix
    this.#opens = new Rates(components.clock)
    this.#opensOfMachines = new Rates(components.clock)
    components.node.addEventListener('connection:open', ({ detail }) => this.#watch(detail))
  }

  async open(
    peerId: string,
    protocol: string,
    { signal, lasting = false }: Wait & { lasting?: boolean },
  ): Promise<FrameStream> {
    const { clock, connections, conduct } = this.#components
    const connection = connections.to(peerId)
    const name = this.#prefix + protocol
    const spoken = this.#spoken.get(connection) ?? new Set()
    const known = spoken.has(name)
    const ms = connectionLimits.protocolNegotiationMs
    const limit = { ms, what: `Opening ${protocol} with ${peerId}`, signal }
    const stream = await within(clock, limit, async (soon) => {
      try {
        return await (known ? assume(connection, name) : negotiate(connection, name, soon))
      } catch (error) {
        soon.throwIfAborted()
        throw notOpened(peerId, protocol, error)
      }
    })
    this.#spoken.set(connection, spoken.add(name))
    const frames = new Libp2pFrameStream({
      stream,
      peerId,
      clock,
      onFault: (error) => conduct.blame(peerId, error),
      agreement: known ? agreementOn(name) : [],
    })
    this.#components.places.used(peerId, frames.ended)
    if (lasting) {
      const leave = this.#lasting.add({ frames, connection })
      frames.ended.addEventListener('abort', leave, { once: true })
    }
    return frames
  }

  /** There is a better connection: what would go on for ever here is to be opened on that. */
  leave(connection: Connection): void {
    for (const each of this.#lasting.all()) {
      if (each.connection !== connection) continue
      each.frames.reset(new PeerError('better_connection', 'There is a better connection now.'))
    }
  }

  async handle(protocol: string, handling: Handling): Promise<void> {
    await this.#components.node.handle(
      this.#prefix + protocol,
      (stream, connection) => this.#accept(protocol, stream, connection, handling),
      {
        maxInboundStreams: streamLimits.inboundMax,
        maxOutboundStreams: streamLimits.outboundMax,
        runOnLimitedConnection: true,
      },
    )
  }

  #accept(protocol: string, stream: Stream, connection: Connection, handling: Handling): void {
    const { clock, conduct } = this.#components
    const { opensPerSecond, streamsMax } = handling.limits
    const peerId = connection.remotePeer.toString()
    const name = `${protocol} ${peerId}`
    const onFault = (error: PeerError) => conduct.blame(peerId, error)
    const frames = new Libp2pFrameStream({ stream, peerId, clock, onFault })
    const { ok, report } = this.#opens.take(name, {
      perSecond: opensPerSecond,
      burst: opensPerSecond,
    })
    const served = this.#served.get(name) ?? 0
    if (!ok || served >= streamsMax) {
      frames.reset(new PeerError('too_many_streams', `That peer opens too many for ${protocol}.`))
      if (report) conduct.fault(peerId, 'penalise', `too many streams of ${protocol}`)
      return
    }
    this.#served.set(name, served + 1)
    void this.#serve(frames, connection, handling).finally(() => {
      const left = (this.#served.get(name) ?? 1) - 1
      if (left === 0) this.#served.delete(name)
      else this.#served.set(name, left)
    })
  }

  async #serve(
    frames: Libp2pFrameStream,
    connection: Connection,
    { handler, limits }: Handling,
  ): Promise<void> {
    const { connections, conduct, places, logger } = this.#components
    try {
      await connections.welcomed(connection)
      if (!limits.isIdle) places.used(frames.peerId, frames.ended)
      frames.expectFirstFrame()
      await handler(frames)
      await frames.close()
      await this.#otherSideEnds(frames)
    } catch (error) {
      frames.reset(error instanceof Error ? error : new Error(String(error)))
      conduct.blame(frames.peerId, error)
      const expected = error instanceof PeerError || isAbort(error)
      const data = { peerId: frames.peerId, error: messageOf(error) }
      if (expected) logger.debug('a stream failed', data)
      else logger.error('a stream failed in a way that was not foreseen', data)
    }
  }

  /** A stream that we are done with keeps its place until it is gone. */
  async #otherSideEnds(frames: Libp2pFrameStream): Promise<void> {
    if (frames.ended.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    frames.ended.addEventListener('abort', () => resolve(), { once: true })
    const cancel = this.#components.clock.after(frameLimits.lingerMs, () =>
      frames.reset(new PeerError('stream_left_open', 'The other side does not end its part.')),
    )
    await promise
    cancel()
  }

  /**
   * Each stream costs a negotiation, also one for a protocol that nobody speaks. libp2p limits how
   * many are open but not how many are opened, so they are counted before its muxer takes them.
   */
  #watch(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    const machine = machineOf(connection.remoteAddr.toString()) ?? 'unknown'
    gateStreams((connection as Muxed).muxer, () => this.#mayOpen(peerId, machine))
  }

  #mayOpen(peerId: string, machine: string): boolean {
    const { ok, report } = this.#opens.take(peerId, conductLimits.opens)
    if (report) this.#components.conduct.fault(peerId, 'penalise', 'streams opened too fast')
    // Of what its neighbours do behind the same address no peer is guilty.
    return ok && this.#opensOfMachines.take(machine, conductLimits.opensOfMachine).ok
  }
}

/** What libp2p's type leaves out. */
type Muxed = Connection & { muxer: StreamMuxer }

function negotiate(connection: Connection, name: string, signal: AbortSignal): Promise<Stream> {
  return connection.newStream(name, {
    signal,
    runOnLimitedConnection: true,
    maxOutboundStreams: streamLimits.outboundMax,
  })
}

/** A stream that takes no round trip: its first frames travel along with the question. */
async function assume(connection: Connection, name: string): Promise<Stream> {
  const stream = await (connection as Muxed).muxer.createStream()
  stream.protocol = name
  return stream
}

/** In multistream-select, whose messages have the same lengths in front as our frames. */
function agreementOn(name: string): Uint8Array[] {
  return ['/multistream/1.0.0', name].map((line) => Buffer.from(`${line}\n`))
}

function notOpened(peerId: string, protocol: string, cause: unknown): PeerError {
  const { name } = cause as Error
  if (name === 'UnsupportedProtocolError') {
    const message = `${peerId} does not speak ${protocol}.`
    return new PeerError('unsupported_protocol', message, { cause })
  }
  if (name === 'TooManyOutboundProtocolStreamsError' || name === 'MuxerClosedError') {
    return new BusyError(`Too many streams are open with ${peerId}.`)
  }
  return unreachable(peerId, cause)
}
