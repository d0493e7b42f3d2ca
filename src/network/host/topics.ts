import {
  type GossipSub,
  type Message,
  TopicValidatorResult as Verdict,
} from '@chainsafe/libp2p-gossipsub'
import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Metrics } from '../../base/metrics.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'
import type { MessageCheck } from '../network.ts'
import type { Conduct } from './conduct.ts'
import { gossipLimits as limits } from './limits.ts'

export interface TopicsComponents {
  pubsub: GossipSub
  conduct: Conduct
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface TopicsOptions {
  /** What stands in front of each topic on the wire. */
  prefix: string
  /** By topic; changed by the owner, who also says so here. */
  checks: ReadonlyMap<string, MessageCheck>
}

/** What is said in topics and heard there. Nothing is passed on before its check has kept it. */
export class Topics {
  readonly #components: TopicsComponents
  readonly #prefix: string
  readonly #checks: ReadonlyMap<string, MessageCheck>
  readonly #stopped = new AbortController()
  /** Neighbour → how many messages that came from it are being checked. */
  readonly #checking = new Map<string, number>()
  #checkingAll = 0
  #started = false
  readonly #heard

  constructor(components: TopicsComponents, { prefix, checks }: TopicsOptions) {
    this.#components = components
    this.#prefix = prefix
    this.#checks = checks
    this.#heard = components.metrics.counter(
      'pinaivu_network_topic_messages_total',
      'Messages heard in topics, each counted once, by what became of them.',
      ['outcome'],
    )
  }

  start(): void {
    this.#started = true
    for (const topic of this.#checks.keys()) this.listen(topic)
  }

  stop(): void {
    this.#stopped.abort(new PeerError('not_started', 'The network stops.'))
  }

  listen(topic: string): void {
    if (!this.#started) return
    const { pubsub } = this.#components
    const name = this.#prefix + topic
    pubsub.topicValidators.set(name, async (neighbour, message) => {
      const [verdict, outcome] = await this.#judge(topic, neighbour, message)
      this.#heard.add(1, { outcome })
      return verdict
    })
    pubsub.subscribe(name)
  }

  leave(topic: string): void {
    if (this.#started) this.#components.pubsub.unsubscribe(this.#prefix + topic)
  }

  async publish(topic: string, message: Uint8Array): Promise<void> {
    await this.#components.pubsub.publish(this.#prefix + topic, message)
  }

  async #judge(topic: string, neighbour: PeerId, message: Message): Promise<[Verdict, string]> {
    const { conduct, logger } = this.#components
    const peerId = neighbour.toString()
    try {
      const from = signerOf(message)
      const check = this.#checks.get(topic)
      if (check === undefined || conduct.isBanned(from)) return [Verdict.Ignore, 'ignored']
      if (!this.#begin(peerId)) return [Verdict.Ignore, 'dropped']
      try {
        const verdict = await this.#run(check, { from, data: message.data })
        return verdict === 'keep' ? [Verdict.Accept, 'kept'] : [Verdict.Ignore, 'ignored']
      } finally {
        this.#end(peerId)
      }
    } catch (error) {
      conduct.blame(peerId, error)
      if (isFault(error)) return [Verdict.Reject, 'refused']
      logger.debug('a message was not checked', { topic, peerId, error: messageOf(error) })
      return [Verdict.Ignore, 'failed']
    }
  }

  /** Its place is free again when it has really ended: one that hangs must not have others beside it. */
  async #run(check: MessageCheck, message: Parameters<MessageCheck>[0]) {
    const limit = { ms: limits.checkMs, what: 'A message', signal: this.#stopped.signal }
    return await within(this.#components.clock, limit, (signal) => check(message, { signal }))
  }

  #begin(peerId: string): boolean {
    const checking = this.#checking.get(peerId) ?? 0
    if (this.#checkingAll >= limits.checksMax || checking >= limits.checksPerPeerMax) return false
    this.#checkingAll++
    this.#checking.set(peerId, checking + 1)
    return true
  }

  #end(peerId: string): void {
    this.#checkingAll--
    const left = (this.#checking.get(peerId) ?? 1) - 1
    if (left === 0) this.#checking.delete(peerId)
    else this.#checking.set(peerId, left)
  }
}

/** Whoever passed on what fails here has seen that it does. */
function signerOf(message: Message): string {
  const { data } = message
  if (data.length === 0 || data.length > FRAME_BYTES_MAX) {
    throw badMessage(`it has ${data.length} bytes`)
  }
  if (message.type !== 'signed' || message.from.type !== 'Ed25519') {
    throw badMessage('its signer has no Ed25519 key')
  }
  return message.from.toString()
}

function badMessage(why: string): PeerError {
  return new PeerError('bad_message', `A message was refused: ${why}.`, { action: 'penalise' })
}

function isFault(error: unknown): boolean {
  return error instanceof PeerError && error.action !== undefined && error.action !== 'ignore'
}
