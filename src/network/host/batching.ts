import type {
  ConnectionEncrypter,
  MessageStream,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface'
import { frameLimits as limits } from './limits.ts'

// Tokens are small and come from many streams at the same time. Left alone, libp2p makes a message of
// each, with an encryption and two system calls on either side, and answers it with one of its own.

type Made<C, T> = (components: C) => T

/** The same muxer: what its streams send within one turn of the event loop is one message. */
export function batchedMuxer<C>(make: Made<C, StreamMuxerFactory>): Made<C, StreamMuxerFactory> {
  return (components) => {
    const factory = make(components)
    const create = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection) => {
      const flush = batchSends(connection)
      const muxer = create(connection)
      flushAtEnd(muxer, flush)
      tellLess(muxer as unknown as Yamux)
      return muxer
    }
    return factory
  }
}

/** The same encrypter, whose messages go to the socket in one piece each. */
export function batchedEncrypter<C>(
  make: Made<C, ConnectionEncrypter>,
): Made<C, ConnectionEncrypter> {
  return (components) => {
    const encrypter = make(components)
    const inbound = encrypter.secureInbound.bind(encrypter)
    const outbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = (connection, options) => inbound(inOnePiece(connection), options)
    encrypter.secureOutbound = (connection, options) => outbound(inOnePiece(connection), options)
    return encrypter
  }
}

function inOnePiece<T extends MessageStream>(connection: T): T {
  const send = connection.send.bind(connection)
  connection.send = (data) => send(data instanceof Uint8Array ? data : data.subarray())
  return connection
}

/** Has `send` wait for the end of the turn; returns how to send at once. */
function batchSends(connection: MessageStream): () => void {
  const send = connection.send.bind(connection)
  let parts: Uint8Array[] = []
  let bytes = 0
  let hasRoom = true
  const flush = () => {
    if (bytes === 0) return
    const batch = Buffer.concat(parts, bytes)
    parts = []
    bytes = 0
    // Streams of a connection that has ended hear of it from the muxer.
    if (connection.status !== 'open') return
    try {
      hasRoom = send(batch)
    } catch {
      // Its socket began to close a moment ago. It has aborted itself, and nobody could catch this.
    }
  }
  connection.addEventListener('drain', () => {
    hasRoom = true
  })
  connection.send = (data) => {
    if (bytes === 0) setImmediate(flush)
    if (data instanceof Uint8Array) parts.push(data)
    else parts.push(...data)
    bytes += data.byteLength
    if (bytes >= limits.sendBytes) flush()
    return hasRoom
  }
  return flush
}

/** A muxer's last words are sent before its connection is closed, which comes next. */
function flushAtEnd(muxer: StreamMuxer, flush: () => void): void {
  const close = muxer.close.bind(muxer)
  const abort = muxer.abort.bind(muxer)
  muxer.close = async (options) => {
    try {
      await close(options)
    } finally {
      flush()
    }
  }
  muxer.abort = (error) => {
    abort(error)
    flush()
  }
}

/** Of yamux, what is meddled with. */
interface Yamux {
  _newStream(...all: unknown[]): Windowed
}

interface Windowed {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** In yamux's numbers: both sides know of the stream, and nothing but windows is to be told. */
const ESTABLISHED = 3

/**
 * yamux tells the sender of every piece that was read, so that each message is answered by another.
 * It is enough to say so before half of what may be under way has come, as other yamuxes do.
 */
function tellLess(muxer: Yamux): void {
  const make = muxer._newStream.bind(muxer)
  muxer._newStream = (...all) => {
    const stream = make(...all)
    const tell = stream.sendWindowUpdate.bind(stream)
    stream.sendWindowUpdate = () => {
      const enough = stream.recvWindowCapacity > stream.recvWindow / 2
      if (stream.state !== ESTABLISHED || !enough) tell()
    }
    return stream
  }
}
