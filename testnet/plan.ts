import { PeerError } from '../src/index.ts'

/** What one peer of a testnet is told to be. */
export interface PeerPlan {
  name: string
  region: string | undefined
  roles: readonly string[]
  /** Whether it serves models: the demo models, or those of `args`. */
  serves: boolean
  /** One answer at a time, each as if it were the only one ever. */
  isReproducible?: boolean
  /** Where it listens, and its endpoint is; loopback otherwise. */
  host?: string
  /** Where others find it again after a restart; any free port otherwise. */
  port?: number
  /** Further ones. */
  args?: readonly string[]
}

export const peersMin = 2 // one to talk to, one to answer
export const peersMax = 32 // all of them share the cores of one machine

/** What a peer holds together with the process of its engine, both demo models loaded. */
export const peerBytes = 300 * 1024 * 1024

/** On several continents, and more than one of the European Union: a jurisdiction has a choice. */
const regions = ['DE', 'FR', 'US', 'CA', 'JP', 'GB', 'BR', 'IN', 'AU', 'ZA'] as const
const commonRoles = ['provider', 'coordinator', 'auditor'] as const

const loopback = '127.0.0.1'

/** The first peer is the one to talk to and serves nothing itself; the last keeps an archive. */
export function planPeers(count: number): PeerPlan[] {
  const others = Array.from({ length: count - 1 }, (_, i): PeerPlan => {
    const archive = i === count - 2 ? ['archive'] : []
    return {
      name: `peer-${i + 2}`,
      region: regions[i % regions.length],
      roles: [...commonRoles, ...archive],
      serves: true,
    }
  })
  return [
    { name: 'peer-1', region: undefined, roles: ['coordinator', 'auditor'], serves: false },
    ...others,
  ]
}

/**
 * The command line of a peer that joins through the addresses in `bootstrap`. Given slots and threads
 * it does not measure which are best: its neighbours would disturb that.
 */
export function argsOf(
  plan: PeerPlan,
  {
    network,
    dataDir,
    bootstrap,
  }: { network: string; dataDir: string; bootstrap: readonly string[] },
): string[] {
  const { host = loopback, port = 0 } = plan
  return [
    ...['start', '--json', '--http', `${host}:0`, '--listen', `/ip4/${host}/tcp/${port}`],
    ...(host === loopback ? [] : ['--insecure-http']),
    ...['--network', network, '--data-dir', dataDir, '--threads', '1'],
    ...(plan.isReproducible === true ? ['--reproducible'] : ['--slots', '4']),
    ...['--roles', plan.roles.join(',')],
    ...(plan.region === undefined ? [] : ['--region', plan.region]),
    ...(plan.serves ? [] : ['--no-demo']),
    ...bootstrap.flatMap((address) => ['--bootstrap', address]),
    ...(plan.args ?? []),
  ]
}

/** Refuses what this machine has no memory for: it would swap, or end other programs. */
export function requireMemory(count: number, availableBytes: number): void {
  const fitting = Math.floor(availableBytes / peerBytes)
  if (count <= fitting) return
  const megabytes = (bytes: number) => `${Math.floor(bytes / 1024 ** 2)} MB`
  const what =
    `${count} peers need about ${megabytes(count * peerBytes)}, and ` +
    `${megabytes(availableBytes)} of this machine's memory are free.`
  const remedy = fitting < peersMin ? 'End other programs first.' : `Try --peers ${fitting}.`
  throw new PeerError('not_enough_memory', `${what} ${remedy}`)
}

/** Settings of a peer in the environment are meant for another. */
export function withoutSettings<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PINAIVU_')))
}
