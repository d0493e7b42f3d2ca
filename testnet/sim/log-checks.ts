import {
  type Execution,
  peerIdOf,
  type Routing,
  receiptDigest,
  ryv1Cid,
} from '../../src/simulation.ts'
import type { Client } from './client.ts'
import type { Links } from './links.ts'
import type { DiskLogs } from './own-logs.ts'
import type { SimPeer } from './sim-peer.ts'
import type { Verdicts } from './verdicts.ts'

type Part = Routing['parts'][number]

/** What the logs of all peers must say when all has been calm for long. */
export class LogChecks {
  readonly #verdicts: Verdicts
  readonly #links: Links
  readonly #logs: ReadonlyMap<SimPeer, DiskLogs>

  constructor(verdicts: Verdicts, links: Links, logs: ReadonlyMap<SimPeer, DiskLogs>) {
    this.#verdicts = verdicts
    this.#links = links
    this.#logs = logs
  }

  /** Whoever was told of an answer's receipt finds it, with what its provider says of it. */
  acknowledged(clients: readonly Client[]): void {
    for (const client of clients) {
      if (client.done?.receipt === undefined) continue
      const routings = this.#logs.get(client.at)?.routings ?? []
      // What a hanging disk kept for too long may be there after all, before what was told instead.
      const routing = routings.findLast(({ jobId }) => jobId === client.jobId)
      if (routing === undefined) {
        this.#lost(`${client} is not in the log of ${client.at}`)
        continue
      }
      // Of a client that left, the provider may have been at its end before it heard of that.
      const { output } = routing.tokens
      const told = client.done.usage.outputTokens
      if (client.outcome === 'done' ? output !== told : output < told) {
        this.#lost(`${client} has ${routing.tokens.output} tokens in the log`)
      }
      const executions = routing.parts.map((part) => this.#execution(client, part))
      this.#shown(client, routing.whole ?? executions[0]?.receipt)
    }
  }

  /** Undefined where its provider was lost. */
  #execution(client: Client, part: Part): Execution | undefined {
    if (part.execution === undefined) return undefined
    const provider = this.#links.peer(peerIdOf(part.node))
    const logs = provider && this.#logs.get(provider)
    const execution = logs?.executions.get(`${part.execution}`)
    if (execution === undefined) this.#lost(`${client}: its work is not in the log of ${provider}`)
    return execution
  }

  /** The receipt that a client was shown is in the log, over the text that came. */
  #shown(client: Client, receipt: Execution['receipt'] | undefined): void {
    const { done, outcome, plan, reader } = client
    if (receipt === undefined || outcome !== 'done') return
    if (done?.receipt?.cid !== ryv1Cid(receiptDigest(receipt))) {
      this.#lost(`${client} was shown another receipt than that in the log`)
    }
    if (plan.choices === 1 && Buffer.compare(receipt.resultHash, reader.digest()) !== 0) {
      this.#lost(`${client} has a receipt for something else`)
    }
  }

  /** Prices of the parts are the price of the whole, and what is owed grows by just that. */
  prices(peers: readonly SimPeer[]): void {
    for (const peer of peers) {
      const owed = new Map<string, number>()
      for (const routing of this.#logs.get(peer)?.routings ?? []) {
        const { jobId, amount, parts } = routing
        const sum = parts.reduce((all, part) => all + part.amount, 0)
        this.#adds(sum === amount, `${jobId} at ${peer}: parts of ${sum}, a whole of ${amount}`)
        const price = priceOf(routing)
        const isRight = routing.verdict === 'ok' ? amount === price : amount <= price
        this.#adds(isRight, `${jobId} at ${peer} costs ${amount} and not ${price}`)
        for (const part of parts) this.#owed(peer, jobId, part, owed)
      }
    }
  }

  #owed(peer: SimPeer, jobId: string, part: Part, owed: Map<string, number>): void {
    if (Buffer.compare(part.node, peer.identity.publicKey) === 0) return
    const node = peerIdOf(part.node)
    const before = owed.get(node) ?? 0
    owed.set(node, part.owedTotal)
    const isRight = part.owedTotal === before + part.amount
    this.#adds(isRight, `${jobId} at ${peer}: ${before} and ${part.amount} is ${part.owedTotal}`)
  }

  /** Archives have what each author shows, and followers that of those they follow. */
  converged(peers: readonly SimPeer[], followedBy: (peer: SimPeer) => Set<string>): void {
    const there = peers.filter(({ state, plan }) => state === 'up' && plan.kind !== 'older')
    for (const reader of there) {
      const isArchive = reader.plan.roles.includes('archive')
      const followed = followedBy(reader)
      for (const author of there) {
        if (reader === author) continue
        if (isArchive || followed.has(author.peerId)) this.#hasAll(reader, author)
      }
    }
  }

  #hasAll(reader: SimPeer, author: SimPeer): void {
    const { shown, feeds } = this.#logs.get(author) ?? {}
    const end = shown === undefined ? undefined : feeds?.get(shown)
    if (shown === undefined || end === undefined || end.size === 0) return
    const has = this.#logs.get(reader)?.feeds.get(shown)
    this.#verdicts.expect(
      has?.size === end.size && has.head === end.head,
      'logs converge',
      () => `${reader} has ${has?.size ?? 'none'} of the ${end.size} entries of ${author}`,
    )
  }

  #lost(message: string): void {
    this.#verdicts.broken('nothing acknowledged is lost', message)
  }

  #adds(holds: boolean, message: string): void {
    this.#verdicts.expect(holds, 'prices add up', () => message)
  }
}

/**
 * Rounded up once: the prompt at the price of who finished, the tokens at that of who signed them. Whoever
 * did not keep to the protocol is paid nothing, whatever it had signed before.
 */
export function priceOf({ parts, attempts }: Pick<Routing, 'parts' | 'attempts'>): number {
  const isUnpaid = ({ node }: Part) =>
    attempts.some(
      (attempt) => attempt.outcome === 'misbehaved' && Buffer.compare(attempt.node, node) === 0,
    )
  const thousandths = parts.reduce((sum, part, at) => {
    if (isUnpaid(part)) return sum
    const { tokens, unsignedTail, price } = part
    const input = at === parts.length - 1 ? tokens.input * price.input : 0
    return sum + input + (tokens.output - unsignedTail) * price.output
  }, 0)
  return Math.ceil(thousandths / 1000)
}
