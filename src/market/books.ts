import { bytesToHex } from '@noble/hashes/utils.js'
import type { Clock } from '../base/clock.ts'
import type { Identity } from '../identity/identity.ts'
import type { OwnFeed } from '../receipts/feeds/own-feed.ts'
import type { HeldEntries } from '../receipts/held.ts'
import { inTime } from '../receipts/in-time.ts'
import type { LiveReceipts } from '../receipts/live.ts'
import { type RequestIndex, requestHash } from '../receipts/requests.ts'
import type { Batch } from '../storage/batch.ts'
import type { Store } from '../storage/store.ts'
import type { AnswerReceipt, Done, Issued, Usage } from '../wire/chunk.ts'
import { rawCid, ryv1Cid } from '../wire/cid.ts'
import { routingEntry, type SealedEntry } from '../wire/entry.ts'
import type { Price } from '../wire/job.ts'
import { declaredModelId } from '../wire/model-id.ts'
import { peerIdOf, publicKeyOf } from '../wire/peer-id.ts'
import { type Receipt, receiptDigest, signReceipt } from '../wire/receipt.ts'
import { ATTEMPTS_MAX, type Routing, type RoutingPart, signRoutingLater } from '../wire/routing.ts'
import type { Effort } from './effort.ts'
import type { Owed } from './owed.ts'
import { quote } from './quote.ts'
import type { Ended } from './remote/answer-proof.ts'
import type { Commissioned } from './remote/verdict.ts'
import type { Request } from './request.ts'

export interface BooksComponents {
  identity: Pick<Identity, 'peerId' | 'publicKey' | 'sign' | 'signLater'>
  log: Pick<OwnFeed, 'append'>
  live: LiveReceipts
  held: HeldEntries
  requests: Pick<RequestIndex, 'put'>
  owed: Owed
  store: Pick<Store, 'batch'>
  clock: Clock
}

export interface BooksOptions {
  /** The network's name. */
  network: string
  /** Of own work. */
  publish: 'receipts' | 'none'
}

/** Who worked on a request, and until when. */
export interface Work {
  request: Request
  effort: Pick<Effort, 'node' | 'model' | 'times' | 'where'>
  done: Done
}

/** What another peer did, and what was found of it. */
export interface RemoteWork extends Work, Ended {
  commissioned: Pick<Commissioned, 'jobId' | 'nodePk' | 'isPublic'>
  /** What it asks, per 1,000 tokens. */
  price: Price
}

/** Says of each answer who made it, whether it was right and what is owed; in this peer's log. */
export class Books {
  readonly #components: BooksComponents
  readonly #options: BooksOptions

  constructor(components: BooksComponents, options: BooksOptions) {
    this.#components = components
    this.#options = options
  }

  /** Work of this machine: what it signed and this peer's word on it are one commit. */
  local(work: Work, issued: Issued): Promise<AnswerReceipt> {
    return inTime(this.#components.clock, this.#local(work, issued))
  }

  /** Work of another peer. `entry` is what that peer is told of it. */
  remote(work: RemoteWork): Promise<{ entry: Uint8Array; receipt: AnswerReceipt }> {
    return inTime(this.#components.clock, this.#remote(work))
  }

  async #local(work: Work, { receipt, execution }: Issued): Promise<AnswerReceipt> {
    const { identity, store } = this.#components
    const { publicKey } = identity
    const part = {
      node: publicKey,
      jobId: receipt.jobId,
      execution: execution.cid,
      tokens: tokensOf(work.done.usage),
      unsignedTail: 0,
      price: { input: 0, output: 0 },
      amount: 0,
      owedTotal: 0,
    }
    // Its own tokenizer counted.
    const routing = await this.#routing(work, { parts: [part], count: 'verified', verdict: 'ok' })
    const publish = this.#options.publish === 'receipts'
    await this.#append(work, [execution, routing], { publish, rows: store.batch() })
    return shown(receipt, work, isWhole(work.done) ? 'final' : 'partial')
  }

  async #remote(work: RemoteWork): Promise<{ entry: Uint8Array; receipt: AnswerReceipt }> {
    const { owed, live } = this.#components
    const { verdict, done, effort } = work
    const { dispute, receipt } = verdict
    const payee = effort.node.id
    const whole = dispute === undefined ? undefined : this.#whole(work)
    const { routing, appended } = await owed.inTurn(payee, () => this.#write(work, whole))
    await appended
    const told = whole ?? (receipt as Receipt)
    live.finished(told, work.commissioned)
    const status = isWhole(done) && dispute === undefined ? 'final' : 'partial'
    return { entry: routing.bytes, receipt: shown(told, work, status) }
  }

  /** `appended` resolves once it is on the disk. */
  async #write(work: RemoteWork, whole: Receipt | undefined) {
    const { store, held } = this.#components
    const { dispute, receipt, execution } = work.verdict
    const rows = store.batch()
    if (execution !== undefined) await held.put(rows, execution)
    const parts = receipt === undefined ? [] : [await this.#part(work, receipt, rows)]
    const routing = await this.#routing(work, {
      parts,
      amount: parts.reduce((sum, part) => sum + part.amount, 0),
      count: 'bounded',
      verdict: dispute === undefined ? 'ok' : 'dispute',
      ...(dispute === undefined ? {} : { dispute }),
      ...(whole === undefined ? {} : { whole }),
    })
    const publish = work.commissioned.isPublic
    const appended = this.#append(work, [routing], { publish, rows })
    // Whoever waits for it hears of it.
    appended.catch(() => {})
    return { routing, appended }
  }

  async #part(
    { effort, done, price, verdict, commissioned, paid, unsignedTail }: RemoteWork,
    receipt: Receipt,
    rows: Batch,
  ): Promise<RoutingPart> {
    const { execution } = verdict
    const { country } = effort.node
    const amount = quote(paid, price)
    return {
      node: commissioned.nodePk,
      jobId: commissioned.jobId,
      ...(execution === undefined ? { receipt } : { execution: execution.cid }),
      tokens: tokensOf(done.usage),
      unsignedTail,
      price,
      amount,
      owedTotal: await this.#components.owed.add(effort.node.id, amount, rows),
      ...(country === undefined ? {} : { region: country }),
    }
  }

  /** This peer's own word for an answer that nobody else signed rightly. */
  #whole({ request, done, resultHash }: RemoteWork): Receipt {
    const { identity } = this.#components
    const { inputTokens, outputTokens } = done.usage
    const fields = {
      jobId: request.job.id,
      nodePk: identity.publicKey,
      resultHash,
      meteringUnits: inputTokens + outputTokens,
    }
    return signReceipt(fields, (message) => identity.sign(message))
  }

  async #routing(
    { request, effort, done }: Work,
    said: Pick<Routing, 'parts' | 'count' | 'verdict' | 'dispute' | 'whole'> & { amount?: number },
  ): Promise<SealedEntry> {
    const { identity } = this.#components
    const { job, wishes, written, report } = request
    const { country } = effort.node
    const { name, id } = effort.model
    const signing = {
      network: this.#options.network,
      sign: (message: Uint8Array) => identity.signLater(message),
    }
    const { jurisdiction } = wishes
    const times = this.#times(request, effort)
    const body = await signRoutingLater(
      {
        amount: 0,
        ...said,
        request: requestHash(job.origin?.requestId ?? job.id),
        jobId: job.id,
        promptRoot: written.promptRoot,
        coordinator: identity.publicKey,
        // Of a file that nobody has read through yet, only its name is known.
        model: id ?? declaredModelId(name, identity.peerId),
        modelName: name,
        work: job.work.kind,
        tokens: tokensOf(done.usage),
        attempts: attemptsOf(report.attempts),
        times,
        privacy: wishes.receiptPrivacy ?? 'plain',
        attestation: 'none',
        ...(jurisdiction === undefined ? {} : { jurisdiction }),
        ...(country === undefined ? {} : { region: country }),
        ...(job.origin === undefined ? {} : { endpoint: job.origin.endpoint }),
      },
      signing,
    )
    return routingEntry(times.finished, body)
  }

  #times({ beganAt }: Request, { times }: Pick<Effort, 'times'>): Routing['times'] {
    const { clock } = this.#components
    const now = clock.now()
    const elapsed = clock.elapsed()
    const wall = (at: number) => Math.floor(now - (elapsed - at))
    const { startedAt, firstAt } = times
    return {
      received: wall(beganAt),
      started: wall(startedAt),
      finished: Math.floor(now),
      ...(firstAt === undefined ? {} : { firstToken: wall(firstAt) }),
    }
  }

  /** The routing entry is the last of them. */
  async #append(
    { request }: Work,
    entries: SealedEntry[],
    { publish, rows }: { publish: boolean; rows: Batch },
  ): Promise<void> {
    const { log, requests } = this.#components
    const { origin } = request.job
    const cid = entries.at(-1)?.cid
    if (origin !== undefined && cid !== undefined) {
      requests.put(rows, origin.requestId, { account: origin.account, cid })
    }
    await log.append(entries, { publish, rows })
  }
}

const isWhole = ({ finish }: Done): boolean => !finish.includes('cancelled')

const tokensOf = ({ inputTokens, cachedTokens, outputTokens }: Usage): Routing['tokens'] => ({
  input: inputTokens,
  cached: cachedTokens,
  output: outputTokens,
})

/** The last ones, by a word for how each ended. */
const attemptsOf = (attempts: Request['report']['attempts']): Routing['attempts'] =>
  attempts.slice(-ATTEMPTS_MAX).map(({ node, outcome, ms }) => ({
    node: publicKeyOf(node),
    outcome: outcome.replace(/:.*$/, ''),
    ms,
  }))

function shown(
  receipt: Receipt,
  { request }: Work,
  status: AnswerReceipt['status'],
): AnswerReceipt {
  const digest = receiptDigest(receipt)
  return {
    cid: ryv1Cid(digest),
    multiformatsCid: rawCid(digest),
    status,
    nodeId: peerIdOf(receipt.nodePk),
    promptNonce: bytesToHex(request.written.promptNonce),
  }
}
