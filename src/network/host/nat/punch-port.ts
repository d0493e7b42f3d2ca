import type {
  Connection,
  MultiaddrConnection,
  Transport,
  Upgrader,
  UpgraderOptions,
} from '@libp2p/interface'
import { isPrivate } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Random } from '../../../base/random.ts'
import { facade } from './facade.ts'

/** Below those that systems give out by themselves. */
const PORT_MIN = 20_000
const PORTS = 12_000

type DialOptions = Parameters<Transport['dial']>[1]

/**
 * Dials the internet from one port, so that the NAT in front of this peer keeps one outer port for it,
 * which others can be told. Two peers behind NATs then meet by dialling each other at the same time.
 * It is none that anybody listens on: Node cannot dial from such a one.
 */
export class PunchPort {
  readonly #random: Random
  #port: number
  readonly #made = new WeakSet<Connection>()
  readonly #fromPort = new WeakSet<Connection>()
  /** Addresses where the other side begins to speak, as it dials this one at the same time. */
  readonly #answering = new Set<string>()

  constructor(random: Random) {
    this.#random = random
    this.#port = this.#anyPort()
  }

  /** The same transport, which dials from there where it can. */
  transport<C>(make: (components: C) => Transport): (components: C) => Transport {
    return (components) => {
      const transport = make(components)
      const dial = transport.dial.bind(transport)
      transport.dial = async (address, options) => {
        const connection = await this.#dial(dial, address, options)
        this.#made.add(connection)
        return connection
      }
      return transport
    }
  }

  /** Whether this peer dials it just now, and the other side too: it counts as inbound here. */
  answers({ remoteAddr }: Connection): boolean {
    return this.#answering.has(remoteAddr.toString())
  }

  /** Whether this peer has dialled it. */
  made(connection: Connection): boolean {
    return this.#made.has(connection)
  }

  /** Whether it was made from this port. */
  from(connection: Connection): boolean {
    return this.#fromPort.has(connection)
  }

  /** While `task` runs, the other side is the one that begins to speak on what is dialled there. */
  async answering<T>(addresses: readonly Multiaddr[], task: () => Promise<T>): Promise<T> {
    const texts = addresses.map((address) => address.toString())
    for (const text of texts) this.#answering.add(text)
    try {
      return await task()
    } finally {
      for (const text of texts) this.#answering.delete(text)
    }
  }

  async #dial(
    dial: Transport['dial'],
    address: Multiaddr,
    options: DialOptions,
  ): Promise<Connection> {
    if (isPrivate(address)) return await dial(address, options)
    const ways = this.#answering.has(address.toString()) ? answering(options) : options
    try {
      // What libp2p's type leaves out goes to the socket as it is.
      const from = { ...ways, localPort: this.#port }
      const connection = await dial(address, from)
      this.#fromPort.add(connection)
      return connection
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Somebody listens there.
      if (code === 'EADDRINUSE') this.#port = this.#anyPort()
      // The last connection to the same place has not quite ended.
      else if (code !== 'EADDRNOTAVAIL') throw error
      return await dial(address, ways)
    }
  }

  #anyPort(): number {
    return PORT_MIN + this.#random.below(PORTS)
  }
}

/** The muxer goes by who has dialled, whatever it is told, and both sides have. */
function answering(options: DialOptions): DialOptions {
  const { upgrader } = options
  const ways = { initiator: false }
  return {
    ...options,
    ...ways,
    upgrader: facade(upgrader, {
      upgradeOutbound: (connection: MultiaddrConnection, upgrading: UpgraderOptions) =>
        upgrader.upgradeOutbound(Object.assign(connection, { direction: 'inbound' }), upgrading),
    } as Partial<Upgrader>),
  }
}
