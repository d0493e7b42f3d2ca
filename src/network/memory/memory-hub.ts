import type { Clock } from '../../base/clock.ts'
import type { PeerAction } from '../../base/errors.ts'
import { type Random, seededRandom } from '../../base/random.ts'
import { MemoryDht, placeOf } from './memory-dht.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from './memory-network.ts'
import type { Carry } from './memory-stream.ts'
import { MemoryWire } from './memory-wire.ts'

/** After so long of silence a connection is taken for dead, as the real one's monitor does. */
const SILENCE_MS_MAX = 20_000

export interface HubOptions {
  clock: Clock
  /** One way, for everything between two peers. */
  latencyMs?: number
  /** The same, drawn anew for each message; what was sent first still arrives first. */
  delayMs?(from: string, to: string): number
  random?: Random
  /** Hears of each frame and message as it is sent. */
  onSent?(from: string, to: string, bytes: Uint8Array): void
}

/** Whether nothing gets through from one peer to another. */
type Silence = (from: string, to: string) => boolean

/** A network within this process, and the hand of the test in it. */
export class MemoryHub {
  readonly clock: Clock
  readonly random: Random
  /** What the DHT holds. A test may put stale and forged things in, as a stranger could. */
  readonly dht = new MemoryDht()
  /** What peers said of each other. */
  readonly faults: { by: string; peerId: string; action: PeerAction; reason: string }[] = []
  /** Messages of all so far, so that a peer that was restarted does not say the same again. */
  said = 0
  /** One way, where it is the same for all. */
  readonly latencyMs: number
  readonly #delayMs: (from: string, to: string) => number
  readonly #onSent: NonNullable<HubOptions['onSent']>
  readonly #networks = new Map<string, MemoryNetwork>()
  /** By sender and receiver. */
  readonly #wires = new Map<string, Map<string, MemoryWire>>()
  readonly #silences = new Set<Silence>()
  readonly #frozen = new Set<string>()
  #ports = 0

  constructor({ clock, latencyMs = 0, delayMs, random, onSent }: HubOptions) {
    this.clock = clock
    this.random = random ?? seededRandom(1)
    this.latencyMs = latencyMs
    this.#delayMs = delayMs ?? (() => latencyMs)
    this.#onSent = onSent ?? (() => {})
  }

  /** A peer's network, to be started. A second one of the same id takes the place of the first. */
  network(peerId: string, options: MemoryNetworkOptions = {}): MemoryNetwork {
    this.#networks.get(peerId)?.vanish()
    const { ip4 = '127.0.0.1', port = 10_000 + ++this.#ports } = options
    const address = `/ip4/${ip4}/tcp/${port}`
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
    return network?.isRunning ? network : undefined
  }

  /** Those that run whose places in the DHT are next to this key; the nearest is the last. */
  closest(key: string, count: number): MemoryNetwork[] {
    const nearest: { network: MemoryNetwork; distance: number }[] = []
    if (count === 0) return []
    const place = placeOf(key)
    for (const network of this.#networks.values()) {
      if (!network.isRunning) continue
      const distance = (network.place ^ place) >>> 0
      if (nearest.length === count && distance >= (nearest[0]?.distance ?? 0)) continue
      if (nearest.length === count) nearest.shift()
      const at = nearest.findIndex((each) => each.distance < distance)
      nearest.splice(at < 0 ? nearest.length : at, 0, { network, distance })
    }
    return nearest.map(({ network }) => network)
  }

  /** Nothing passes between the two; both find out by the silence. */
  cut(a: string, b: string): () => void {
    return this.silence((from, to) => (from === a && to === b) || (from === b && to === a))
  }

  /** Takes bytes and never answers, like a stopped process; nor does it say or notice anything. */
  freeze(peerId: string): () => void {
    this.#frozen.add(peerId)
    const end = this.silence((from, to) => from === peerId || to === peerId)
    return () => {
      this.#frozen.delete(peerId)
      end()
    }
  }

  /** Returns how to end it: what was held back arrives then. */
  silence(holds: Silence): () => void {
    const silence: Silence = (from, to) => holds(from, to)
    this.#silences.add(silence)
    this.clock.after(SILENCE_MS_MAX, () => {
      if (this.#silences.has(silence)) this.#dropSilent(silence)
    })
    return () => {
      if (this.#silences.delete(silence)) this.#release()
    }
  }

  /** Gone without a word but for the system's, which closes its connections. */
  kill(peerId: string): void {
    this.#networks.get(peerId)?.vanish()
  }

  /** Gone with its machine: the others find out by the silence. */
  unplug(peerId: string): void {
    const network = this.#networks.get(peerId)
    network?.vanish({ isTold: false })
    this.clock.after(SILENCE_MS_MAX, () => {
      for (const other of this.#networks.values()) {
        if (other.isConnectedTo(network)) other.giveUp(peerId)
      }
    })
  }

  /** Ends every silence: what was held back arrives. */
  heal(): void {
    this.#silences.clear()
    this.#frozen.clear()
    this.#release()
  }

  /** Nothing gets through from the one to the other. */
  isSilent(from: string, to: string): boolean {
    for (const holds of this.#silences) if (holds(from, to)) return true
    return false
  }

  /** Brings `task` from one to the other, in order. */
  carry(from: string, to: string, task: () => void, bytes?: Uint8Array): void {
    this.carrier(from, to)(task, bytes)
  }

  /** Brings all that it is given from one to the other, in order. */
  carrier(from: string, to: string): Carry {
    let ofSender = this.#wires.get(from)
    if (ofSender === undefined) {
      ofSender = new Map()
      this.#wires.set(from, ofSender)
    }
    let wire = ofSender.get(to)
    if (wire === undefined) {
      wire = new MemoryWire(this.clock, () => this.isSilent(from, to))
      ofSender.set(to, wire)
    }
    return (task, bytes) => {
      if (bytes !== undefined) this.#onSent(from, to, bytes)
      wire.send(task, this.#delayMs(from, to))
    }
  }

  #release(): void {
    for (const ofSender of this.#wires.values()) {
      for (const wire of ofSender.values()) wire.release()
    }
  }

  #dropSilent(holds: Silence): void {
    for (const network of this.#networks.values()) {
      const { peerId } = network
      if (this.#frozen.has(peerId)) continue
      for (const other of network.connected()) {
        if (holds(peerId, other) || holds(other, peerId)) network.giveUp(other)
      }
    }
  }
}

export function memoryHub(options: HubOptions): MemoryHub {
  return new MemoryHub(options)
}
