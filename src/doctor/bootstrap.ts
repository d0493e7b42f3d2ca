import { messageOf, PeerError } from '../base/errors.ts'
import { OtherPeerError } from '../network/host/other-peer-error.ts'
import { type Found, fail, ok, skip, warn } from './finding.ts'
import type { PeerSeen, RunningPeer } from './peer-seen.ts'
import { counted } from './text.ts'

/** A bootstrap peer, and how it was met. */
export interface Knocked {
  address: string
  /** How it sees this machine. */
  seenAs?: string | undefined
  error?: unknown
}

export interface Joining {
  bootstrap: readonly string[]
  mdns: boolean
  network: string
}

/** Goes to all of them at once. */
export async function knockAll(
  addresses: readonly string[],
  knock: (address: string) => Promise<{ seenAs: string | undefined }>,
): Promise<Knocked[]> {
  return await Promise.all(
    addresses.map(async (address): Promise<Knocked> => {
      try {
        return { address, seenAs: (await knock(address)).seenAs }
      } catch (error) {
        return { address, error }
      }
    }),
  )
}

/** Whether the peer finds others: through which it was told to join, as this machine meets them. */
export function bootstrap(
  seen: PeerSeen,
  { bootstrap: given, mdns, network }: Joining,
  met: readonly Knocked[],
): Found[] {
  const running = seen.type === 'answers' ? seen.peer.network : undefined
  const missed = met.filter(({ error }) => error !== undefined)
  const isJoined = running === undefined ? missed.length < met.length : running.connections > 0
  const faults = missed.map((each) => faultOf(each, network, isJoined ? 'warn' : 'fail'))
  if (running !== undefined && running.name !== network) {
    faults.unshift(
      warn(
        'other_network_here',
        `The running peer is of the network ${running.name}, and this was asked for ${network}.`,
        `Give the doctor --network ${running.name}, or restart the peer.`,
      ),
    )
  }
  if (faults.length > 0) return faults
  if (given.length > 0 && running === undefined) {
    return [ok(`${counted(met.length, 'bootstrap peer')} of ${given.length} answered.`)]
  }
  if (running !== undefined) return [joined(running)]
  return [mdns ? skip('Who is on the local network shows once a peer runs (--mdns).') : alone]
}

const alone = ok('The peer is to be alone: there is neither --bootstrap nor --mdns.')

function joined({ connections, bootstrap, mdns }: RunningPeer['network']): Found {
  if (connections > 0) return ok(`${counted(connections, 'peer')} connected.`)
  if (bootstrap === 0 && !mdns) return alone
  if (bootstrap === 0) {
    return warn(
      'nobody_on_lan',
      'No other peer is found on the local network.',
      'Start another there with --mdns and the same --network, and let multicast (UDP port 5353) pass.',
    )
  }
  return fail(
    'not_joined',
    'The running peer is connected to nobody, though it was given peers to join through.',
    'Give the doctor the same --bootstrap and --network: it goes to each and says what is wrong.',
  )
}

/** What to do about each way to fail. */
const advice: Readonly<Record<string, string>> = {
  name_unknown: 'Check the name in --bootstrap, and that this machine has a name server.',
  connection_refused:
    'Ask whoever runs it whether it is up, or give its present address and port with --bootstrap.',
  connection_timeout:
    'Check its address, and that no firewall is in between, here or there; or join through another.',
  host_unreachable: 'Check the network of this machine: it has no way there.',
  no_peer: 'Check the port in --bootstrap: it is that of --listen there, by default 7463.',
  other_network: 'Give --network the same name on both, or join through a peer of this network.',
}

function faultOf({ address, error }: Knocked, network: string, verdict: 'warn' | 'fail'): Found {
  const cause = `${address}: ${messageOf(error)}`
  if (error instanceof OtherPeerError) {
    const next = `If that is the one you mean, end its address with /p2p/${error.found}; else ask for its present one.`
    return { verdict, code: 'bootstrap_other_peer', cause, next }
  }
  const code = error instanceof PeerError ? error.code : 'failed'
  const next = advice[code] ?? 'Join through another peer.'
  const here = code === 'other_network' ? ` (Here it is ${network}.)` : ''
  return { verdict, code: `bootstrap_${code}`, cause: cause + here, next }
}
