import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Clock } from '../../../base/clock.ts'
import { upnpLimits as limits } from './nat-limits.ts'

/** Of SSDP, in the UPnP Device Architecture. */
const GROUP = '239.255.255.250'
const PORT = 1900
/** Whoever answers to the first answers to the second too, unless it is an old one. */
const TARGETS = [2, 1].map(
  (version) => `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`,
)

/** What says to be a router, on one of the local networks. */
export interface RouterHint {
  /** Its description. */
  location: URL
  /** This machine, on that network. */
  ownAddress: string
}

/**
 * Asks on the local network of `ownAddress` for routers. Anybody there can answer, and only in its own
 * name: with the address of another it would have this peer ask that one.
 */
export async function findRouters(
  ownAddress: string,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<RouterHint[]> {
  const socket = createSocket('udp4')
  try {
    const found = await search(socket, ownAddress, clock, signal)
    return found.map((location) => ({ location, ownAddress }))
  } finally {
    socket.close()
  }
}

async function search(
  socket: Socket,
  ownAddress: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<URL[]> {
  const found = new Map<string, URL>()
  socket.on('message', (bytes, { address }) => {
    const location = locationIn(bytes.subarray(0, limits.answerBytesMax).toString('latin1'))
    if (location?.hostname !== address || found.size >= limits.routersMax) return
    found.set(location.href, location)
  })
  socket.on('error', () => {})
  socket.bind(0, ownAddress)
  await once(socket, 'listening', { signal })
  socket.setMulticastInterface(ownAddress)
  socket.setMulticastTTL(2)
  // A datagram may be lost; whoever has answered is known already.
  for (let time = 0; time < limits.searches && found.size === 0; time++) {
    for (const target of TARGETS) socket.send(question(target), PORT, GROUP)
    await clock.sleep(limits.searchMs, signal)
  }
  return [...found.values()]
}

function question(target: string): string {
  const lines = ['M-SEARCH * HTTP/1.1', `HOST: ${GROUP}:${PORT}`, 'MAN: "ssdp:discover"', 'MX: 1']
  return [...lines, `ST: ${target}`, '', ''].join('\r\n')
}

/** Where an answer says that the description is; undefined for what is no answer of a router. */
export function locationIn(text: string): URL | undefined {
  const [first = '', ...lines] = text.split('\r\n')
  const fields = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).trim().toUpperCase(), line.slice(colon + 1).trim()]
    }),
  )
  const isAnswer = /^HTTP\/1\.[01] 200\b/.test(first) && TARGETS.includes(fields.get('ST') ?? '')
  if (!isAnswer) return undefined
  const location = URL.parse(fields.get('LOCATION') ?? '')
  return location?.protocol === 'http:' ? location : undefined
}
