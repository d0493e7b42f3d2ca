import { Internet, type NatKind, newNetworkName } from './internet.ts'
import { LanPeer } from './lan-peers.ts'
import type { Machine } from './namespaces.ts'
import { startPeer } from './peer-process.ts'

/** Peers on a small internet. Whoever opens it closes it. */
export class NatPeers {
  readonly internet = new Internet()
  readonly network = newNetworkName()
  readonly #peers: LanPeer[] = []

  /** On a machine that anybody can dial. */
  async open(address: string, args: readonly string[], door?: LanPeer): Promise<LanPeer> {
    return await this.#start(await this.internet.host(address), args, door)
  }

  /** On a machine behind a router that has this address. */
  async behind(
    address: string,
    kind: NatKind,
    args: readonly string[],
    door: LanPeer,
  ): Promise<LanPeer> {
    const { machine } = await this.internet.home(address, kind)
    return await this.#start(machine, args, door)
  }

  async kill(peer: LanPeer): Promise<void> {
    await peer.process.kill()
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.splice(0).map(({ process }) => process.kill()))
    this.internet.close()
  }

  async #start(machine: Machine, args: readonly string[], door?: LanPeer): Promise<LanPeer> {
    const joining = door === undefined ? [] : ['--bootstrap', door.address]
    const process = await startPeer({
      listen: '/ip4/0.0.0.0/tcp/7463',
      prefix: machine.prefix,
      args: ['--network', this.network, ...joining, ...args],
    })
    const peer = new LanPeer(machine, process)
    this.#peers.push(peer)
    return peer
  }
}
