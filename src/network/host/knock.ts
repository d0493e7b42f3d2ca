import { lookup, resolveTxt } from 'node:dns/promises'
import { once } from 'node:events'
import { isIP, Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { Clock } from '../../base/clock.ts'
import { unlessAborted, within } from '../../base/deadline.ts'
import { DeadlineError, messageOf, PeerError } from '../../base/errors.ts'
import { OtherPeerError } from './other-peer-error.ts'

export interface KnockOptions {
  /** The network's name. */
  network: string
  /** For each peer. */
  ms: number
  signal: AbortSignal
}

/** The peer that is there, and how it sees this machine. */
export interface Welcome {
  program: string | undefined
  seenAs: string | undefined
}

/** Of the time, for each step of the way: so it shows which one failed. libp2p is to be read, too. */
const NAME_SHARE = 0.2
const CONNECT_SHARE = 0.3
const GREET_SHARE = 0.3
/** Of a name. */
const ADDRESSES_MAX = 8

/** An address and port that a name stands for. */
interface Target {
  host: string
  port: number
}

/** Goes to peers step by step, with a key that is thrown away, and leaves again. */
export class Knocker {
  readonly #clock: Clock
  readonly #options: KnockOptions
  #node: Promise<Stranger> | undefined

  constructor(clock: Clock, options: KnockOptions) {
    this.#clock = clock
    this.#options = options
  }

  /**
   * `address` is a multiaddr that ends in the peer's id. Throws a PeerError whose code says where it
   * ended: `name_unknown`, `connection_refused`, `host_unreachable`, `connection_timeout`,
   * `connection_failed`, `no_peer`, `other_peer` or `other_network`.
   */
  async knock(address: string): Promise<Welcome> {
    const { network, ms, signal } = this.#options
    const targets = await resolved(this.#clock, address, this.#options)
    const target = await reached(this.#clock, targets, this.#options)
    this.#node ??= stranger(network)
    const node = await this.#node
    const limit = { ms: ms * GREET_SHARE, what: 'The greeting', signal }
    return await within(this.#clock, limit, (soon) =>
      greet(node, target, { network, address }, soon),
    )
  }

  async stop(): Promise<void> {
    await (await this.#node)?.stop()
  }
}

const peerIdIn = (address: string): string => address.split('/p2p/').at(-1) ?? ''

async function resolved(
  clock: Clock,
  address: string,
  { ms, signal }: KnockOptions,
): Promise<Target[]> {
  const [, family = '', host = '', , port] = address.split('/')
  if (isIP(host) > 0) return [{ host, port: Number(port) }]
  try {
    const limit = { ms: ms * NAME_SHARE, what: 'The name server', signal }
    const found = await within(clock, limit, (soon) =>
      unlessAborted(namedBy(family, host, Number(port), peerIdIn(address)), soon),
    )
    if (found.length > 0) return found.slice(0, ADDRESSES_MAX)
  } catch (cause) {
    signal.throwIfAborted()
    const { code } = cause as NodeJS.ErrnoException
    const why = cause instanceof DeadlineError ? 'no name server answers' : code
    throw new PeerError('name_unknown', `The name ${host} is not found (${why}).`, { cause })
  }
  throw new PeerError('name_unknown', `The name ${host} stands for no address of that peer.`)
}

async function namedBy(
  family: string,
  host: string,
  port: number,
  peerId: string,
): Promise<Target[]> {
  if (family !== 'dnsaddr') {
    const kind = family === 'dns4' ? 4 : family === 'dns6' ? 6 : 0
    const found = await lookup(host, { all: true, family: kind })
    return found.map((each) => ({ host: each.address, port }))
  }
  const texts = (await resolveTxt(`_dnsaddr.${host}`)).map((parts) => parts.join(''))
  return texts.flatMap((text) => {
    const [, at, its] = /^dnsaddr=\/ip[46]\/(\S+)\/p2p\/(\S+)$/.exec(text) ?? []
    const [named = '', , number] = at?.split('/') ?? []
    return its === peerId ? [{ host: named, port: Number(number) }] : []
  })
}

/** The first of them that takes a TCP connection. */
async function reached(
  clock: Clock,
  targets: readonly Target[],
  { ms, signal }: KnockOptions,
): Promise<Target> {
  const tries = targets.map(async (target) => {
    const limit = { ms: ms * CONNECT_SHARE, what: 'The connection', signal }
    await within(clock, limit, (soon) => connect(target, soon))
    return target
  })
  try {
    return await Promise.any(tries)
  } catch (error) {
    signal.throwIfAborted()
    const [first] = error instanceof AggregateError ? error.errors : [error]
    throw unreached(targets[0], first)
  }
}

async function connect(target: Target, signal: AbortSignal): Promise<void> {
  const socket = new Socket({ signal })
  try {
    socket.connect(target)
    await once(socket, 'connect', { signal })
  } finally {
    socket.on('error', () => {})
    socket.destroy()
  }
}

function unreached(target: Target | undefined, cause: unknown): PeerError {
  const at = target === undefined ? 'there' : `at ${target.host} port ${target.port}`
  const refuse = (code: string, message: string) => new PeerError(code, message, { cause })
  if (cause instanceof DeadlineError || (cause as Error)?.name === 'AbortError') {
    return refuse('connection_timeout', `Nothing answers ${at}.`)
  }
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ECONNREFUSED':
      return refuse('connection_refused', `The machine ${at} refuses: nobody listens.`)
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return refuse('host_unreachable', `There is no way to the machine ${at}.`)
    default:
      return refuse('connection_failed', `No connection ${at}: ${messageOf(cause)}.`)
  }
}

type Stranger = Libp2p<{ identify: Identify }>

/** A node with nothing but a voice: it listens nowhere, and nobody asks it for anything. */
async function stranger(network: string): Promise<Stranger> {
  return await createLibp2p({
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: {
      identify: identify({ protocolPrefix: `pinaivu/${network}`, runOnConnectionOpen: false }),
    },
  })
}

async function greet(
  node: Stranger,
  { host, port }: Target,
  { network, address }: { network: string; address: string },
  signal: AbortSignal,
): Promise<Welcome> {
  const connection = await dialled(node, { host, port }, signal)
  const found = connection.remotePeer.toString()
  if (found !== peerIdIn(address)) throw new OtherPeerError(found)
  try {
    const { agentVersion, observedAddr } = await node.services.identify.identify(connection, {
      signal,
    })
    return { program: agentVersion, seenAs: observedAddr?.toString().split('/')[2] }
  } catch (cause) {
    const message = `That peer is of another network than ${network}.`
    throw new PeerError('other_network', message, { cause })
  }
}

/** Without its id: who answers is to be told. */
async function dialled(
  node: Stranger,
  { host, port }: Target,
  signal: AbortSignal,
): Promise<Connection> {
  const family = isIP(host) === 6 ? 'ip6' : 'ip4'
  try {
    return await node.dial(multiaddr(`/${family}/${host}/tcp/${port}`), { signal })
  } catch (cause) {
    const message = `What listens at ${host} port ${port} does not answer as a peer does.`
    throw new PeerError('no_peer', message, { cause })
  }
}
