import type { FrameStream, Network } from '../../src/simulation.ts'
import { changed, changedStream } from './changed.ts'

/** Field 999, which no version has: 1. Whoever does not know it passes over it. */
const UNKNOWN_FIELD = Uint8Array.of(0xb8, 0x3e, 0x01)

/** As a peer of a version that did not keep logs of others yet. */
export function olderVersion(network: Network): Network {
  return changed(network, {
    handle: (protocol, ...rest) => {
      if (protocol !== 'sync/1') network.handle(protocol, ...rest)
    },
    subscribe: () => () => {},
  })
}

/** As a peer of a version that says more than this one understands. */
export function newerVersion(network: Network): Network {
  return changed(network, {
    handle: (protocol, handler, limits) =>
      network.handle(protocol, (stream) => handler(talkative(stream)), limits),
    open: async (...args) => talkative(await network.open(...args)),
  })
}

const talkative = (stream: FrameStream): FrameStream =>
  changedStream(stream, (frame) => stream.write(Buffer.concat([frame, UNKNOWN_FIELD])))
