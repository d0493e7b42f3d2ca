/** What strangers do to a peer's door, from a machine of their own as far as that peer can tell. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { NETWORK } from './network-name.ts'

export const floods = [
  'streams of one peer',
  'streams of fifty peers',
  'sockets',
  'half handshakes',
  'whole handshakes',
] as const
export type Flood = (typeof floods)[number]

/** Of the loopback: to whoever counts by address, another machine than that of the honest. */
const MACHINE = '127.0.0.2'
/** Streams or sockets a second, if this process manages as many. */
const PER_SECOND = 10_000
const TICK_MS = 10
const PER_TICK = (PER_SECOND * TICK_MS) / 1000
/** Each of them opens no more than one peer may. */
const PEERS = 50
const SOCKETS_MAX = 512
/** Who is turned away tries again after so long. */
const AGAIN_MS = 20

export interface Flooding {
  /** Streams or connections that were begun. */
  readonly count: number
  stop(): Promise<void>
}

interface Going {
  count: number
  readonly stopped: AbortSignal
}

/** Goes on until it is stopped. */
export function flood(kind: Flood, address: string): Flooding {
  const stopping = new AbortController()
  const going: Going = { count: 0, stopped: stopping.signal }
  const over = start(kind, address, going)
  return {
    get count() {
      return going.count
    },
    async stop() {
      stopping.abort()
      await over
    },
  }
}

async function start(kind: Flood, address: string, going: Going): Promise<void> {
  switch (kind) {
    case 'streams of one peer':
      return await streams(address, going, PER_TICK)
    case 'streams of fifty peers': {
      const each = Array.from({ length: PEERS }, () =>
        streams(address, going, Math.floor(PER_TICK / PEERS)),
      )
      return void (await Promise.all(each))
    }
    case 'sockets':
      return await sockets(address, going, (socket) => socket.resetAndDestroy())
    case 'half handshakes':
      return await sockets(address, going, (socket) => socket.write(halfHandshake()))
    case 'whole handshakes':
      return await handshakes(address, going)
  }
}

/** One peer opens streams until it is thrown out, and comes back with another key. */
async function streams(address: string, going: Going, perTick: number): Promise<void> {
  while (!going.stopped.aborted) {
    await asStranger(address, async (connection) => {
      let next = FIRST_STREAM
      while (!going.stopped.aborted && connection.status === 'open') {
        const { maConn } = (connection as unknown as Inside).muxer
        if (!maConn.writableNeedsDrain) {
          maConn.send(openings(next, perTick))
          next += 2 * perTick
          going.count += perTick
        }
        await sleep(TICK_MS)
      }
    })
  }
}

async function handshakes(address: string, going: Going): Promise<void> {
  const visitors = Array.from({ length: 8 }, async () => {
    while (!going.stopped.aborted) {
      await asStranger(address, async () => void going.count++)
    }
  })
  await Promise.all(visitors)
}

/** libp2p's connection, whose muxer's own connection takes bytes. */
interface Inside {
  muxer: { maConn: { writableNeedsDrain: boolean; send(bytes: Uint8Array): boolean } }
}

/** With a key that nobody has seen before. */
async function asStranger(
  address: string,
  act: (connection: Connection) => Promise<void>,
): Promise<void> {
  const node = await createLibp2p({
    addresses: { listen: [] },
    transports: [tcp({ dialOpts: { localAddress: MACHINE } as object })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionManager: { reconnectRetries: 0 },
    services: { identify: identify({ protocolPrefix: `pinaivu/${NETWORK}` }) },
  })
  try {
    await act(await node.dial(multiaddr(address), { signal: AbortSignal.timeout(5_000) }))
  } catch {
    await sleep(AGAIN_MS)
  } finally {
    await node.stop()
  }
}

/** libp2p's own have lower numbers. */
const FIRST_STREAM = 1_000_001
const [DATA, WINDOW] = [0, 1]
const [SYN, FIN] = [1, 4]
const HEADER_BYTES = 12

const question = Buffer.concat(
  ['/multistream/1.0.0\n', `/pinaivu/${NETWORK}/ping/1.0.0\n`].map((line) =>
    Buffer.concat([Uint8Array.of(line.length), Buffer.from(line)]),
  ),
)

/** yamux's frames for so many streams, each of which asks for a protocol and ends its part. */
function openings(first: number, count: number): Uint8Array {
  const each = 2 * HEADER_BYTES + question.length
  const all = Buffer.alloc(count * each)
  for (let at = 0; at < count; at++) {
    const id = first + 2 * at
    header(all, at * each, { type: DATA, flags: SYN, id, length: question.length })
    question.copy(all, at * each + HEADER_BYTES)
    header(all, (at + 1) * each - HEADER_BYTES, { type: WINDOW, flags: FIN, id, length: 0 })
  }
  return all
}

function header(
  all: Buffer,
  at: number,
  { type, flags, id, length }: { type: number; flags: number; id: number; length: number },
): void {
  all.writeUInt8(type, at + 1)
  all.writeUInt16BE(flags, at + 2)
  all.writeUInt32BE(id, at + 4)
  all.writeUInt32BE(length, at + 8)
}

/** As many as one machine manages; each that is closed is followed by another. */
async function sockets(
  address: string,
  going: Going,
  onConnect: (socket: Socket) => void,
): Promise<void> {
  const [, , host, , port] = address.split('/')
  const open = new Set<Socket>()
  while (!going.stopped.aborted) {
    for (let one = 0; one < PER_TICK && open.size < SOCKETS_MAX; one++) {
      const socket = connect({ host, port: Number(port), localAddress: MACHINE })
      going.count++
      open.add(socket)
      socket.on('connect', () => onConnect(socket))
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
      socket.resume()
    }
    await sleep(TICK_MS)
  }
  for (const socket of open) socket.resetAndDestroy()
}

/** Up to where the other side has to reckon, and then waits for what does not come. */
function halfHandshake(): Uint8Array {
  const lines = ['/multistream/1.0.0\n', '/noise\n'].map((line) =>
    Buffer.concat([Uint8Array.of(line.length), Buffer.from(line)]),
  )
  return Buffer.concat([...lines, Uint8Array.of(0, 32), randomBytes(32)])
}
