import { once } from 'node:events'
import { createServer } from 'node:net'
import { type Found, fail, ok, warn } from './finding.ts'
import { processText } from './lock-holder.ts'
import type { PeerSeen, RunningPeer } from './peer-seen.ts'
import { portOwner } from './port-owner.ts'

/** Where a peer listens, and the option that says so. */
export interface Place {
  option: '--listen' | '--http'
  host: string
  port: number
}

/** The place of a multiaddr such as `/ip4/0.0.0.0/tcp/7463`. */
export function placeOf(address: string): Place | undefined {
  const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? []
  return host === undefined ? undefined : { option: '--listen', host, port: Number(port) }
}

/** Whether the peer listens, or could. */
export async function ports(
  seen: PeerSeen,
  places: readonly Place[],
  signal: AbortSignal,
): Promise<Found | Found[]> {
  if (seen.type === 'answers') return ofRunning(seen.peer)
  // Its ports are taken by itself.
  if (seen.type !== 'none') return []
  const faults = (await Promise.all(places.map((place) => faultAt(place, signal)))).flat()
  if (faults.length > 0) return faults
  return ok(`Nobody is in the way at ${places.map(placeText).join(', ')}.`)
}

function ofRunning({ network }: RunningPeer): Found {
  const { listening, addrs } = network
  if (!listening) {
    return fail(
      'not_listening',
      'The running peer listens on no address.',
      'Look at what it logged, and start it with another --listen.',
    )
  }
  const isAlone = addrs.every((address) => /^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
  if (isAlone && network.bootstrap > 0) {
    return warn(
      'listens_inside',
      'The running peer listens on addresses that only this machine reaches.',
      'Start it with --listen /ip4/0.0.0.0/tcp/7463, or without --listen.',
    )
  }
  return ok(`The peer listens on ${addrs.map(withoutId).join(', ')}.`)
}

const withoutId = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')
const placeText = ({ host, port }: Place): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Listens there for an instant. */
async function faultAt(place: Place, signal: AbortSignal): Promise<Found[]> {
  const { host, port } = place
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen({ host, port, exclusive: true, signal })
    await once(server, 'listening')
    return []
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    signal.throwIfAborted()
    return [await fault(place, code, signal)]
  } finally {
    server.close()
  }
}

async function fault(place: Place, code: string, signal: AbortSignal): Promise<Found> {
  const at = placeText(place)
  const { option } = place
  const other = option === '--http' ? `${option} 127.0.0.1:0` : `${option} /ip4/0.0.0.0/tcp/0`
  switch (code) {
    case 'EADDRINUSE': {
      const owner = await portOwner(place.port, signal)
      const who = owner === undefined ? 'another program' : await processText(owner)
      const next = `Stop that program, or choose another port with ${option} (${other}: any free one).`
      return fail('port_in_use', `Port ${place.port} is in use: ${who} listens on ${at}.`, next)
    }
    case 'EACCES':
      return fail(
        'port_forbidden',
        `This user may not listen on ${at}: ports below 1024 are reserved.`,
        `Choose another port with ${option}.`,
      )
    case 'EADDRNOTAVAIL':
      return fail(
        'address_not_here',
        `This machine has no address ${place.host}.`,
        `Give ${option} one that it has, or one for all: ${other}.`,
      )
    default:
      return fail(
        'port_unusable',
        `It can't listen on ${at}: ${code}.`,
        `Choose another ${option}.`,
      )
  }
}
