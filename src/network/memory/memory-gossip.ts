import { PeerError } from '../../base/errors.ts'
import { LruMap } from '../../base/lru-map.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'
import type { MessageCheck, TopicMessage } from '../network.ts'

/** More than are on their way at a time. */
const SEEN_MAX = 4096
const CHECKS_MAX = 64

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
  /** Those that listen. */
  neighbours(topic: string): string[]
  /** Brings it to a neighbour. */
  carry(peerId: string, data: Uint8Array, task: (there: MemoryGossip) => void): void
  blame(peerId: string, error: PeerError): void
}

/** The topics of a `MemoryNetwork`: each message goes to all neighbours that listen, once. */
export class MemoryGossip {
  readonly #components: MemoryGossipComponents
  readonly #checks = new Map<string, MessageCheck>()
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
    return () => {
      if (this.#checks.get(topic) === own) this.#checks.delete(topic)
    }
  }

  listensTo(topic: string): boolean {
    return this.#checks.has(topic)
  }

  stop(): void {
    this.#stopped.abort(new PeerError('not_started', 'The network stops.'))
    this.#stopped = new AbortController()
  }

  #pass(said: Said, notTo: string): void {
    this.#seen.set(said.id, true)
    const { neighbours, carry, peerId: self } = this.#components
    for (const peerId of neighbours(said.topic)) {
      if (peerId === notTo) continue
      carry(peerId, said.message.data, (there) => void there.#hear(said, self))
    }
  }

  async #hear(said: Said, neighbour: string): Promise<void> {
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
}
