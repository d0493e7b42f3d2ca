import { type Ping, type PingComponents, type PingInit, ping } from '@libp2p/ping'
import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'

/** More than there are connections. */
const REMEMBERED_MAX = 1024

/** Who has pinged this peer, and so is there: its connection need not be pinged from this side too. */
export class Pings {
  readonly #clock: Clock
  readonly #lastAt = new LruMap<string, number>(REMEMBERED_MAX)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  lastOf(peerId: string): number | undefined {
    return this.#lastAt.get(peerId)
  }

  /** libp2p's, which answers pings. It tells nobody of them, so they are heard on their way to it. */
  service(init: PingInit): (components: PingComponents) => Ping {
    return ({ registrar, connectionManager }) => {
      const handle: typeof registrar.handle = (protocol, handler, options) =>
        registrar.handle(
          protocol,
          (stream, connection) => {
            this.#lastAt.set(connection.remotePeer.toString(), this.#clock.elapsed())
            return handler(stream, connection)
          },
          options,
        )
      const unhandle: typeof registrar.unhandle = (protocol) => registrar.unhandle(protocol)
      const hearing = Object.assign(Object.create(registrar), { handle, unhandle })
      return ping(init)({ registrar: hearing, connectionManager })
    }
  }
}
