import type { Clock } from '../../src/base/clock.ts'
import type { PeerAction } from '../../src/base/errors.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from './memory-network.ts'

/** After so long of silence a connection is taken for dead, as the real one's monitor does. */
const SILENCE_MS_MAX = 20_000

export interface HubOptions {
  clock: Clock
  /** One way, for everything between two peers. */
  latencyMs?: number
}

/** A network within this process, and the hand of the test in it. */
export class MemoryHub {
  readonly clock: Clock
  readonly latencyMs: number
  /** What the DHT holds. A test may put stale and forged things in, as a stranger could. */
  readonly dht = new MemoryDht()
  /** What peers said of each other. */
  readonly faults: { by: string; peerId: string; action: PeerAction; reason: string }[] = []
  readonly #networks = new Map<string, MemoryNetwork>()
  readonly #wires = new Map<string, Wire>()
  readonly #cuts = new Set<string>()
  readonly #frozen = new Set<string>()
  #ports = 0

  constructor({ clock, latencyMs = 0 }: HubOptions) {
    this.clock = clock
    this.latencyMs = latencyMs
  }

  /** A peer's network, to be started. A second one of the same id takes the place of the first. */
  network(peerId: string, options: MemoryNetworkOptions = {}): MemoryNetwork {
    this.#networks.get(peerId)?.die()
    const address = `/ip4/${options.ip4 ?? '127.0.0.1'}/tcp/${10_000 + ++this.#ports}`
    const network = new MemoryNetwork(this, peerId, address, options)
    this.#networks.set(peerId, network)
    return network
  }

  addressOf(peerId: string): string {
    return this.#networks.get(peerId)?.address ?? ''
  }

  /** That peer's network while it runs. */
  running(peerId: string): MemoryNetwork | undefined {
    const network = this.#networks.get(peerId)
    return network?.status().listening ? network : undefined
  }

  /** Nothing passes between the two; both find out by the silence. */
  cut(a: string, b: string): void {
    this.#cuts.add(pairOf(a, b))
    this.#watchSilence([a, b], [a, b])
  }

  /** Takes bytes and never answers, like a stopped process; nor does it say anything. */
  freeze(peerId: string): void {
    this.#frozen.add(peerId)
    this.#watchSilence([peerId], [...this.#networks.keys()])
  }

  /** Gone without a word but for the system's, which closes its connections. */
  kill(peerId: string): void {
    this.#networks.get(peerId)?.die()
  }

  /** Ends every cut and freeze: what was held back arrives. */
  heal(): void {
    this.#cuts.clear()
    this.#frozen.clear()
    for (const wire of this.#wires.values()) wire.release()
  }

  /** Nothing gets through between the two. */
  isSilent(a: string, b: string): boolean {
    return this.#cuts.has(pairOf(a, b)) || this.#frozen.has(a) || this.#frozen.has(b)
  }

  /** Brings `task` from one to the other, in order. */
  carry(from: string, to: string, task: () => void): void {
    const name = `${from} ${to}`
    let wire = this.#wires.get(name)
    if (wire === undefined) {
      wire = new Wire(this.clock, this.latencyMs, () => this.isSilent(from, to))
      this.#wires.set(name, wire)
    }
    wire.send(task)
  }

  #watchSilence(of: readonly string[], among: readonly string[]): void {
    this.clock.after(SILENCE_MS_MAX, () => {
      for (const a of of) {
        for (const b of among) {
          if (a !== b && this.isSilent(a, b)) this.#networks.get(a)?.drop(b)
        }
      }
    })
  }
}

export function memoryHub(options: HubOptions): MemoryHub {
  return new MemoryHub(options)
}

/** One direction between two peers. */
class Wire {
  readonly #clock: Clock
  readonly #latencyMs: number
  readonly #silent: () => boolean
  readonly #tasks: (() => void)[] = []
  #held = 0

  constructor(clock: Clock, latencyMs: number, silent: () => boolean) {
    this.#clock = clock
    this.#latencyMs = latencyMs
    this.#silent = silent
  }

  send(task: () => void): void {
    this.#tasks.push(task)
    if (this.#latencyMs === 0) queueMicrotask(() => this.#arrive())
    else this.#clock.after(this.#latencyMs, () => this.#arrive())
  }

  release(): void {
    for (; this.#held > 0; this.#held--) this.#tasks.shift()?.()
  }

  #arrive(): void {
    if (this.#silent()) this.#held++
    else this.#tasks.shift()?.()
  }
}

export class MemoryDht {
  /** Key in hex → peer id → addresses. */
  readonly providers = new Map<string, Map<string, string[]>>()
  /** `<kind>/<peer id>` → the record. */
  readonly records = new Map<string, Uint8Array>()
  /** How often anybody looked anything up. */
  lookups = 0
}

function pairOf(a: string, b: string): string {
  return [a, b].toSorted().join(' ')
}
