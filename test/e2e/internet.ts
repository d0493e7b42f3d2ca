import { randomBytes } from 'node:crypto'
import { ip, Lan, type Machine } from './namespaces.ts'

// A small internet: machines with addresses of their own in it, and homes whose router has the only
// one. All of it in network namespaces, so that addresses may be any.

/**
 * What a home's router does. cone: keeps one outer port for each inner one, and lets in who was
 * spoken to. symmetric: another outer port for each destination. forwarded: cone, and lets in all on
 * port 7463. open: a router that its machine opens ports of, by UPnP.
 */
export type NatKind = 'cone' | 'symmetric' | 'forwarded'

export interface Home {
  router: Machine
  machine: Machine
}

/** Whoever opens it closes it. */
export class Internet {
  readonly #lan = new Lan()
  readonly #homes: Lan[] = []

  async open(): Promise<void> {
    await this.#lan.open()
  }

  /** A machine that anybody can dial. */
  async host(...addresses: string[]): Promise<Machine> {
    const [address = '', ...more] = addresses
    const machine = await this.#lan.machine({ address, bits: 32, route: ['dev', 'eth0'] })
    for (const each of more)
      await ip('-n', machine.name, 'addr', 'add', `${each}/32`, 'dev', 'eth0')
    return machine
  }

  /** A machine behind a router that has this address. */
  async home(address: string, kind: NatKind): Promise<Home> {
    const number = this.#homes.length + 1
    const lan = new Lan()
    this.#homes.push(lan)
    await lan.open()
    const router = await this.host(address)
    await router.plugInto(lan, `10.8.${number}.1`)
    const inner = `10.8.${number}.2`
    const machine = await lan.machine({
      address: inner,
      bits: 24,
      route: ['via', `10.8.${number}.1`],
    })
    await router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await router.run('nft', rulesOf(kind, inner))
    return { router, machine }
  }

  close(): void {
    for (const lan of this.#homes.splice(0)) lan.close()
    this.#lan.close()
  }
}

function rulesOf(kind: NatKind, inner: string): string {
  const how = kind === 'symmetric' ? 'random,fully-random' : ''
  const dnat = kind === 'forwarded' ? `iifname "eth0" tcp dport 7463 dnat to ${inner}` : ''
  return `
    table ip home {
      chain in { type nat hook prerouting priority dstnat; ${dnat}; }
      chain out { type nat hook postrouting priority srcnat; oifname "eth0" masquerade ${how}; }
      chain self {
        type filter hook input priority filter; policy drop;
        iifname { "eth1", "lo" } accept
        ct state established,related accept
      }
      chain through {
        type filter hook forward priority filter; policy drop;
        iifname "eth1" accept
        ct state established,related accept
        ct status dnat accept
      }
    }`
}

/** How many bytes have come to a machine and left it since it was plugged in. */
export async function bytesThrough(machine: Machine): Promise<number> {
  const folder = '/sys/class/net/eth0/statistics'
  const counts = await machine.run('cat', `${folder}/rx_bytes`, `${folder}/tx_bytes`)
  return counts.split('\n').reduce((sum, line) => sum + Number(line), 0)
}

/** Whether this machine's kernel and tools can do it. Found out by doing it. */
export async function canMakeInternet(): Promise<boolean> {
  const internet = new Internet()
  try {
    await internet.open()
    await internet.home('62.0.0.1', 'symmetric')
    return true
  } catch {
    console.warn('Not run: tests behind NATs need Linux, root, iproute2 and nftables.')
    return false
  } finally {
    internet.close()
  }
}

export const newNetworkName = (): string => `nat-${randomBytes(4).toString('hex')}`
