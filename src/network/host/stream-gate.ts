import type { StreamMuxer } from '@libp2p/interface'

/** Of yamux, what is meddled with. */
interface Yamux {
  incomingStream(id: number): void
  sendFrame(header: { type: number; flag: number; streamID: number; length: number }): void
}

/** In yamux's numbers: a window update, which says that the stream is reset. */
const WINDOW_UPDATE = 1
const RESET = 8

/**
 * Has a muxer ask before it takes a stream that the other side opens. One that may not be opened
 * costs a few bytes: libp2p would begin to negotiate over it, with a timer and a dozen objects, and
 * there may be thousands of them in one message.
 */
export function gateStreams(muxer: StreamMuxer, mayOpen: () => boolean): void {
  const yamux = muxer as unknown as Yamux
  const take = yamux.incomingStream.bind(yamux)
  yamux.incomingStream = (id) => {
    if (mayOpen()) take(id)
    else yamux.sendFrame({ type: WINDOW_UPDATE, flag: RESET, streamID: id, length: 0 })
  }
}
