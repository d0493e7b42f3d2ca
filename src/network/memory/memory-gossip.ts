import { PeerError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'
import type { MessageCheck, TopicMessage } from '../network.ts'

/** More than are on their way at a time. */
const SEEN_MAX = 4096
const CHECKS_MAX = 64
/** With fewer neighbours in its mesh a peer looks for more, as gossipsub does. */
const MESH_MIN = 6
const MESH_WANTED = 8

interface Said {
  /** The same wherever it is heard. */
  id: string
  topic: string
  message: TopicMessage
}

export interface MemoryGossipComponents {
  peerId: string
  /** The next of all that anybody says. */
  nextNumber(): number
  random: Random
  connected(): string[]
  /** That of a peer that is connected. */
  neighbour(peerId: string): MemoryGossip | undefined
  /** Brings it to a neighbour. */
  carry(peerId: string, data: Uint8Array, task: () => void): void
  blame(peerId: string, error: PeerError): void
}

/** The topics of a `MemoryNetwork`: each message goes to a mesh of neighbours that listen, once. */
export class MemoryGossip {
  readonly #components: MemoryGossipComponents
  readonly #checks = new Map<string, MessageCheck>()
  /** Topic → to whom its messages go. */
  readonly #meshes = new Map<string, Set<string>>()
  readonly #seen = new LruMap<string, true>(SEEN_MAX)
  #stopped = new AbortController()
  #checking = 0

  constructor(components: MemoryGossipComponents) {
    this.#components = components
  }

  publish(topic: string, data: Uint8Array): void {
    if (data.length === 0 || data.length > FRAME_BYTES_MAX) {
      throw new PeerError('bad_frame', `A message has 1 to ${FRAME_BYTES_MAX} bytes.`)
    }
    const { peerId, nextNumber } = this.#components
    const id = `${peerId} ${nextNumber()}`
    this.#pass({ id, topic, message: { from: peerId, data: data.slice() } }, peerId)
  }

  subscribe(topic: string, check: MessageCheck): () => void {
    if (this.#checks.has(topic)) {
      throw new PeerError('already_subscribed', `Somebody listens to ${topic} already.`)
    }
    const own: MessageCheck = (message, wait) => check(message, wait)
    this.#checks.set(topic, own)
    this.#meshOf(topic)
    return () => {
      if (this.#checks.get(topic) === own) this.#checks.delete(topic)
    }
  }

  /** Somebody is connected, or is not any more. */
  changed(): void {
    for (const topic of this.#checks.keys()) this.#meshOf(topic)
  }

  listensTo(topic: string): boolean {
    return this.#checks.has(topic)
  }

  /** That neighbour sends its messages here, and wants those that are heard here. */
  grafted(peerId: string, topic: string): void {
    this.#meshes.get(topic)?.add(peerId)
  }

  async hear(said: Said, neighbour: string): Promise<void> {
    const check = this.#checks.get(said.topic)
    const signal = this.#stopped.signal
    if (check === undefined || this.#seen.get(said.id)) return
    this.#seen.set(said.id, true)
    if (this.#checking >= CHECKS_MAX) return
    this.#checking++
    try {
      const { from, data } = said.message
      const verdict = await check({ from, data: data.slice() }, { signal })
      if (verdict === 'keep') this.#pass(said, neighbour)
    } catch (error) {
      if (error instanceof PeerError && error.action !== undefined) {
        this.#components.blame(neighbour, error)
      }
    } finally {
      this.#checking--
    }
  }

  stop(): void {
    this.#stopped.abort(new PeerError('not_started', 'The network stops.'))
    this.#stopped = new AbortController()
  }

  #pass(said: Said, notTo: string): void {
    this.#seen.set(said.id, true)
    const { carry, neighbour, peerId: self } = this.#components
    for (const peerId of this.#meshOf(said.topic)) {
      if (peerId === notTo) continue
      carry(peerId, said.message.data, () => void neighbour(peerId)?.hear(said, self))
    }
  }

  /** Both have each other in it, so that nobody hears nothing. */
  #meshOf(topic: string): Set<string> {
    const { connected, neighbour, random, peerId: self } = this.#components
    const mesh = this.#meshes.get(topic) ?? new Set()
    this.#meshes.set(topic, mesh)
    const listens = (peerId: string) => neighbour(peerId)?.listensTo(topic) === true
    for (const peerId of mesh) if (!listens(peerId)) mesh.delete(peerId)
    if (mesh.size >= MESH_MIN) return mesh
    const others = connected().filter((peerId) => !mesh.has(peerId) && listens(peerId))
    while (mesh.size < MESH_WANTED && others.length > 0) {
      const [peerId = ''] = others.splice(random.below(others.length), 1)
      mesh.add(peerId)
      neighbour(peerId)?.grafted(self, topic)
    }
    return mesh
  }
}
