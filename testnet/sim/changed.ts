import type { FrameStream, Network } from '../../src/simulation.ts'

/** Methods of a class are found through its prototype; what is private stays with the original. */
export function changed(network: Network, changes: Partial<Network>): Network {
  return new Proxy(network, {
    get(target, key) {
      const own = changes[key as keyof Network]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The same stream, written to in another way. */
export function changedStream(stream: FrameStream, write: FrameStream['write']): FrameStream {
  return {
    peerId: stream.peerId,
    ended: stream.ended,
    read: (options) => stream.read(options),
    write,
    writable: (options) => stream.writable(options),
    close: () => stream.close(),
    reset: (reason) => stream.reset(reason),
  }
}
