import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { defaultHost, Libp2pHost } from '../../../src/network/host/libp2p-host.ts'
import type { FrameStream } from '../../../src/network/network.ts'
import { lookupKey } from '../../../src/wire/model-id.ts'
import { hostParts, identityOf, recorder } from '../hosts.ts'

// A process of its own, for a machine of its own: hosts that do what they are told on stdin, one line
// of JSON each, and answer on stdout.

export interface Start {
  listen: string[]
  bootstrap?: string[]
  relay?: boolean
  network: string
  seed: number
}

export interface Echo {
  peerId: string
  frames: number
  bytes: number
  everyMs?: number
  /** Takes no frame back. */
  deaf?: boolean
}

export interface Echoed {
  received: number
  ms: number
  error?: string
}

const hosts = new Map<number, Libp2pHost>()

/** Bytes that are left when garbage is collected. */
function heldMemory(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const wait = () => ({ signal: AbortSignal.timeout(20_000) })

export const orders = {
  async start(number: number, { listen, bootstrap = [], relay = false, network, seed }: Start) {
    const bytes = new Uint8Array(32)
    new DataView(bytes.buffer).setUint32(0, seed)
    const host = new Libp2pHost(
      { ...hostParts(recorder().logger), identity: await identityOf(bytes) },
      { ...defaultHost, listen, bootstrap, relay, network },
    )
    host.handle('echo/1', echo, { streamsMax: 64, opensPerSecond: 256 })
    host.handle('sink/1', (stream) => ended(stream), { streamsMax: 64, opensPerSecond: 256 })
    await host.start(wait())
    hosts.set(number, host)
    // As an advert with that role does it.
    if (relay) host.onConnection(() => void host.provide(RELAYS, wait()).catch(() => {}))
    return host.status()
  },

  async status(number: number) {
    const host = hostOf(number)
    const links = host.node.getConnections().map((connection) => ({
      peerId: connection.remotePeer.toString(),
      address: connection.remoteAddr.toString(),
      relayed: connection.limits !== undefined,
    }))
    return { ...host.status(), links, memory: heldMemory() }
  },

  async connect(number: number, { peerId, addresses }: { peerId: string; addresses: string[] }) {
    await hostOf(number).connect(peerId, addresses, wait())
  },

  /** Sends frames there and back. */
  async echo(number: number, { peerId, frames, bytes, everyMs = 0, deaf = false }: Echo) {
    const began = performance.now()
    let received = 0
    const outcome = (error?: unknown): Echoed => ({
      received,
      ms: performance.now() - began,
      ...(error === undefined ? {} : { error: (error as { code?: string }).code ?? `${error}` }),
    })
    try {
      const stream = await hostOf(number).open(peerId, deaf ? 'sink/1' : 'echo/1', wait())
      const { signal } = new AbortController()
      const writing = (async () => {
        for (let sent = 0; sent < frames; sent++) {
          stream.write(new Uint8Array(bytes).fill(sent))
          await stream.writable({ signal })
          if (everyMs > 0) await sleep(everyMs)
        }
        await stream.close()
      })()
      writing.catch(() => {})
      while ((await stream.read({ signal })) !== undefined) {
        received++
        if (everyMs > 0) say({ event: 'echo', received })
      }
      return outcome()
    } catch (error) {
      return outcome(error)
    }
  },

  async stop(number: number) {
    await hostOf(number).stop()
    hosts.delete(number)
  },
}

const RELAYS = lookupKey('role', 'relay')

async function echo(stream: FrameStream): Promise<void> {
  const { ended: signal } = stream
  for (;;) {
    const frame = await stream.read({ signal })
    if (frame === undefined) return
    stream.write(frame)
    await stream.writable({ signal })
  }
}

async function ended(stream: FrameStream): Promise<void> {
  await new Promise((resolve) => stream.ended.addEventListener('abort', resolve, { once: true }))
}

function hostOf(number: number): Libp2pHost {
  const host = hosts.get(number)
  if (host === undefined) throw new Error(`There is no host ${number}.`)
  return host
}

interface Order {
  id: number
  /** Which of the hosts of this process. */
  host: number
  what: keyof typeof orders
  with: never
}

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, host, what, with: how } = JSON.parse(line) as Order
  try {
    say({ id, result: await orders[what](host, how) })
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    say({ id, error: { code, message } })
  }
})
