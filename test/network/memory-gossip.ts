import { PeerError } from '../../src/base/errors.ts'
import { LruMap } from '../../src/base/lru-map.ts'
import type { MessageCheck, TopicMessage } from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'

/** More than are on their way at a time. */
const SEEN_MAX = 4096
const CHECKS_MAX = 64

/** Of all, so that a peer that was restarted does not say the same again. */
let saidSoFar = 0

interface Said {
  /** The same wherever it is heard. */
  id: string
  topic: string
  message: TopicMessage
}

export interface MemoryGossipComponents {
  peerId: string
  neighbours(): string[]
  /** Brings `task` to a neighbour. */
  carry(peerId: string, task: (there: MemoryGossip) => void): void
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
    const { peerId } = this.#components
    const id = `${peerId} ${++saidSoFar}`
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

  stop(): void {
    this.#stopped.abort(new PeerError('not_started', 'The network stops.'))
    this.#stopped = new AbortController()
  }

  #pass(said: Said, notTo: string): void {
    this.#seen.set(said.id, true)
    for (const peerId of this.#components.neighbours()) {
      if (peerId === notTo) continue
      this.#components.carry(peerId, (there) => void there.#hear(said, this.#components.peerId))
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
