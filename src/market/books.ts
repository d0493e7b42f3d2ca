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
import type { AnswerReceipt, Done, Usage } from '../wire/chunk.ts'
import { rawCid, ryv1Cid } from '../wire/cid.ts'
import { routingEntry, type SealedEntry } from '../wire/entry.ts'
import { declaredModelId } from '../wire/model-id.ts'
import { sameBytes } from '../wire/octets.ts'
import { peerIdOf, publicKeyOf } from '../wire/peer-id.ts'
import { type Receipt, receiptDigest, signReceipt } from '../wire/receipt.ts'
import { ATTEMPTS_MAX, type Routing, type RoutingPart, signRoutingLater } from '../wire/routing.ts'
import type { Account, Asked } from './failover/account.ts'
import type { Share } from './failover/share.ts'
import { split } from './failover/split.ts'
import type { Owed } from './owed.ts'

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

/** Says of each answer who made it, whether it was right and what is owed; in this peer's log. */
export class Books {
  readonly #components: BooksComponents
  readonly #network: string

  constructor(components: BooksComponents, { network }: { network: string }) {
    this.#components = components
    this.#network = network
  }

  /** `entry` is what another peer is told of its work. */
  write(account: Account): Promise<{ entry: Uint8Array; receipt: AnswerReceipt }> {
    return inTime(this.#components.clock, this.#write(account))
  }

  async #write(account: Account): Promise<{ entry: Uint8Array; receipt: AnswerReceipt }> {
    const { live } = this.#components
    const { shares, dispute, done } = account
    const isSigned = dispute === undefined && !account.isJoint
    const whole = isSigned ? undefined : this.#whole(account)
    const payees = shares.flatMap(({ payee }) => payee ?? []).sort()
    const turns = payees.filter((payee, at) => payee !== payees[at - 1])
    const { routing, appended } = await this.#inTurns(turns, () => this.#append(account, whole))
    await appended
    const told = whole ?? (shares[0]?.receipt as Receipt)
    // What this machine did alone is known already.
    for (const share of shares) {
      if (whole !== undefined || share.payee !== undefined) live.finished(told, share)
    }
    const status = isWhole(done) && dispute === undefined ? 'final' : 'partial'
    return { entry: routing.bytes, receipt: this.#shown(told, account.request, status) }
  }

  /** In the same order each time: of two that wait for each other, neither would ever come. */
  async #inTurns<T>([first, ...others]: readonly string[], task: () => Promise<T>): Promise<T> {
    if (first === undefined) return await task()
    return await this.#components.owed.inTurn(first, () => this.#inTurns(others, task))
  }

  /** What this machine signed and its word on it are one commit. `appended`: it is on the disk. */
  async #append(account: Account, whole: Receipt | undefined) {
    const { store, held } = this.#components
    const { shares, dispute, request } = account
    const rows = store.batch()
    const own: SealedEntry[] = []
    for (const { execution, payee } of shares) {
      if (execution === undefined) continue
      if (payee === undefined) own.push(execution)
      else await held.put(rows, execution, payee)
    }
    const parts = await this.#parts(shares, rows)
    const routing = await this.#routing(account, {
      parts,
      amount: amountOf(parts),
      count: isOwnCount(account) ? 'verified' : 'bounded',
      verdict: dispute === undefined ? 'ok' : 'dispute',
      ...(dispute === undefined ? {} : { dispute }),
      ...(whole === undefined ? {} : { whole }),
    })
    const publish = shares.every(({ isPublic }) => isPublic)
    const { log, requests } = this.#components
    const { origin } = request.job
    await this.#settle(account, { parts, routing }, rows)
    if (origin !== undefined) {
      requests.put(rows, origin.requestId, { account: origin.account, cid: routing.cid })
    }
    const appended = log.append([...own, routing], { publish, rows })
    // Whoever waits for it hears of it.
    appended.catch(() => {})
    request.payment?.hold(appended)
    return { routing, appended }
  }

  /** Whoever asked pays what its parts come to, and in the same commit. */
  async #settle(
    { request, done, isInVain }: Account,
    { parts, routing }: { parts: readonly RoutingPart[]; routing: SealedEntry },
    rows: Batch,
  ): Promise<void> {
    const { payment } = request
    if (payment === undefined) return
    await payment.ready
    const { identity } = this.#components
    const payees = parts.flatMap(({ node, amount }) => {
      if (amount === 0) return []
      return [{ peerId: sameBytes(node, identity.publicKey) ? undefined : peerIdOf(node), amount }]
    })
    const tokens = done.usage
    const cost = { amount: amountOf(parts), payees, routing: routing.cid.toString() }
    payment.settle({ ...cost, tokens, isInVain }, rows)
  }

  /** One for each that signed something: the others are not paid, and nobody could check them. */
  async #parts(shares: readonly Share[], rows: Batch): Promise<RoutingPart[]> {
    const signed = shares.filter(({ receipt }) => receipt !== undefined)
    const parts: RoutingPart[] = []
    for (const [at, amount] of split(signed).entries()) {
      const { payee, ...share } = signed[at] as Share
      const owedTotal =
        payee === undefined ? 0 : await this.#components.owed.add(payee, amount, rows)
      parts.push(partOf(share, { amount, owedTotal }))
    }
    return parts
  }

  #shown(receipt: Receipt, request: Asked, status: AnswerReceipt['status']): AnswerReceipt {
    const { identity } = this.#components
    const digest = receiptDigest(receipt)
    return {
      cid: ryv1Cid(digest),
      multiformatsCid: rawCid(digest),
      status,
      nodeId: sameBytes(receipt.nodePk, identity.publicKey)
        ? identity.peerId
        : peerIdOf(receipt.nodePk),
      promptNonce: bytesToHex(request.written.promptNonce),
    }
  }

  /** This peer's own word for an answer that nobody else signed rightly, or as a whole. */
  #whole({ request, done, resultHash }: Account): Receipt {
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
    { request, effort, done }: Account,
    said: Pick<Routing, 'parts' | 'amount' | 'count' | 'verdict' | 'dispute' | 'whole'>,
  ): Promise<SealedEntry> {
    const { identity } = this.#components
    const { job, work, wishes, written, report } = request
    const { country } = effort.node
    const { name, id } = effort.model
    const signing = {
      network: this.#network,
      sign: (message: Uint8Array) => identity.signLater(message),
    }
    const { jurisdiction } = wishes
    const times = this.#times(request, effort)
    const body = await signRoutingLater(
      {
        ...said,
        request: requestHash(job.origin?.requestId ?? job.id),
        jobId: job.id,
        promptRoot: written.promptRoot,
        coordinator: identity.publicKey,
        // Of a file that nobody has read through yet, only its name is known.
        model: id ?? declaredModelId(name, identity.peerId),
        modelName: name,
        work,
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

  #times({ beganAt, handover }: Asked, effort: Account['effort']): Routing['times'] {
    const { clock } = this.#components
    const now = clock.now()
    const elapsed = clock.elapsed()
    const wall = (at: number) => Math.floor(now - (elapsed - at))
    const { startedAt, firstAt } = (handover?.first ?? effort).times
    return {
      received: wall(beganAt),
      started: wall(startedAt),
      finished: Math.floor(now),
      ...(firstAt === undefined ? {} : { firstToken: wall(firstAt) }),
    }
  }
}

/** Its own tokenizer counted, and not a server behind it that nobody looks into. */
const isOwnCount = ({ shares, effort }: Account): boolean =>
  shares.every(({ payee }) => payee === undefined) && !effort.model.id?.startsWith('declared:')

const amountOf = (parts: readonly RoutingPart[]): number =>
  Math.min(
    Number.MAX_SAFE_INTEGER,
    parts.reduce((sum, { amount }) => sum + amount, 0),
  )

const isWhole = ({ finish }: Done): boolean => !finish.includes('cancelled')

const tokensOf = ({ inputTokens, cachedTokens, outputTokens }: Usage): Routing['tokens'] => ({
  input: inputTokens,
  cached: cachedTokens,
  output: outputTokens,
})

function partOf(
  {
    nodePk: node,
    jobId,
    receipt,
    execution,
    usage,
    unsignedTail,
    price,
    region,
  }: Omit<Share, 'payee'>,
  owed: Pick<RoutingPart, 'amount' | 'owedTotal'>,
): RoutingPart {
  return {
    ...{ node, jobId, tokens: tokensOf(usage), unsignedTail, price, ...owed },
    ...(execution && { execution: execution.cid }),
    ...(receipt && !execution && { receipt }),
    ...(region === undefined ? {} : { region }),
  }
}

/** The last ones, by a word for how each ended. */
const attemptsOf = (attempts: Asked['report']['attempts']): Routing['attempts'] =>
  attempts.slice(-ATTEMPTS_MAX).map(({ node, outcome, ms }) => ({
    node: publicKeyOf(node),
    outcome: outcome.replace(/:.*$/, ''),
    ms,
  }))
