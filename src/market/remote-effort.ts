import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { cancelledDone } from '../engines/lanes.ts'
import type { Identity } from '../identity/identity.ts'
import type { AnswerHash } from '../receipts/answer-hash.ts'
import type { Chunk, Node } from '../wire/chunk.ts'
import { joinBytes } from '../wire/octets.ts'
import { publicKeyOf } from '../wire/peer-id.ts'
import type { Books } from './books.ts'
import type { Assignment, Dispatcher } from './choose/dispatcher.ts'
import { type Effort, nodeOf } from './effort.ts'
import {
  type Account,
  type Ending,
  lostAccount,
  ownAccount,
  wholeAccount,
} from './failover/account.ts'
import { handOver } from './failover/failover.ts'
import type { MarketMetrics } from './market-metrics.ts'
import { asTold, cutShort } from './no-provider.ts'
import { mayExceed } from './quote.ts'
import { misbehaved } from './remote/answer-check.ts'
import { AnswerTimes } from './remote/answer-times.ts'
import type { Attempt, Booked, RemoteComponents } from './remote/attempt.ts'
import { attemptId } from './remote/job-writer.ts'
import {
  isSure,
  isUnheard,
  lost,
  needsTheBeginning,
  ProviderError,
} from './remote/provider-error.ts'
import { remote } from './remote/remote.ts'
import type { Commissioned } from './remote/verdict.ts'
import type { Request } from './request.ts'

/** A refusal within this time, connecting included, leaves enough of it for all the others. */
const AT_ONCE_MS = 500

const nothing = (): void => {}

export interface RemoteEffortComponents {
  network: RemoteComponents['network']
  dispatcher: Pick<Dispatcher, 'freed' | 'served' | 'lost'>
  suspect(peerId: string): void
  /** Told of what goes on after an answer's end. */
  parting(parting: Promise<void>): void
  publish: 'receipts' | 'none'
  books: Pick<Books, 'write'>
  identity: Pick<Identity, 'publicKey'>
  verify: RemoteComponents['verify']
  live: RemoteComponents['live']
  clock: Clock
  logger: Logger
  metrics: MarketMetrics
}

/** Another peer at work on a request. */
export class RemoteEffort implements Effort {
  readonly where = 'remote'
  readonly node: Node
  readonly model: { name: string; id: string }
  readonly times: AnswerTimes
  readonly #components: RemoteEffortComponents
  readonly #request: Request
  readonly #assignment: Assignment
  /** Whether others may hear of it. */
  readonly #isPublic: boolean
  #accepted = false
  #ended = false
  /** The request went on with another provider, before anything came from this one. */
  #isPassedOver = false
  /** What it signed is not so. */
  #hasLied = false
  /** What had come when it was lost. */
  #came: { hash: AnswerHash; ending: Ending | undefined } | undefined

  constructor(components: RemoteEffortComponents, request: Request, assignment: Assignment) {
    const { entry, model } = assignment
    this.node = nodeOf(entry.peerId, entry.advert.hardware.gpus, entry.advert.region)
    this.model = { name: model.name, id: model.id }
    this.times = new AnswerTimes(components.clock.elapsed(), assignment.engagement)
    this.#components = components
    this.#request = request
    this.#assignment = assignment
    this.#isPublic = components.publish === 'receipts' && !assignment.engagement.isHidden
  }

  chunks(options: { signal: AbortSignal }): Promise<AsyncIterable<Chunk>> {
    const { dispatcher, clock, identity } = this.#components
    const { entry, model, engagement, firstTokenBy } = this.#assignment
    const { job, attempts, written, doneBy, salt, askedAgain, handover } = this.#request
    const begun = handover?.begun
    const isPublic = this.#isPublic
    const now = clock.elapsed()
    const { peerId } = entry
    const maxPrice = this.#request.priceMax(model.price)
    const cover = written.sign({
      provider: peerId,
      model: model.id,
      attempt: attempts,
      firstTokenMs: firstTokenBy - now,
      totalMs: doneBy - now,
      ...{ maxPrice, isPublic },
      ...(begun && { resume: begun.packed.fields }),
    })
    const commissioned: Commissioned = {
      jobId: attemptId(job, attempts),
      nodePk: publicKeyOf(peerId),
      coordinator: identity.publicKey,
      promptRoot: written.promptRoot,
      model: model.id,
      ...{ salt, isPublic },
    }
    const attempt: Attempt = {
      peerId,
      addresses: entry.advert.addresses,
      // Others may still get through, on the connection that there is.
      isAfresh: askedAgain === peerId && engagement.isAlone,
      job: cover,
      body: begun ? joinBytes(written.body, begun.packed.bytes) : written.body,
      resumes: begun?.resumes,
      maxPrice,
      work: job.work,
      watched: job.watched,
      drafters: job.drafters,
      commissioned,
      book: (ended) => {
        this.#hasLied ||= ended?.verdict.isLie === true
        return this.#book(ended && this.#ending(ended, commissioned))
      },
      onLost: (ended, hash) => {
        this.#came = { hash, ending: ended && this.#ending(ended, commissioned) }
      },
      contextLength: model.contextLength,
      embeddingLength: model.embeddingLength,
      firstTokenBy,
      doneBy,
      onAccepted: (allowance: number) => {
        this.#accepted = true
        this.#request.heard()
        engagement.accepted(allowance)
        dispatcher.freed(model.id, allowance)
      },
      onParting: (each) => this.#part(each),
    }
    return remote(this.#components, attempt, options)
  }

  #ending(
    { done, verdict, resultHash, unsignedTail, paid, price }: Booked,
    { jobId, nodePk, isPublic }: Commissioned,
  ): Ending {
    const { receipt, execution, dispute } = verdict
    const share = {
      ...{ jobId, nodePk, isPublic, receipt, execution, unsignedTail, paid, price },
      payee: this.node.id,
      region: this.node.country,
      usage: done.usage,
    }
    return { effort: this, done, share, dispute, resultHash }
  }

  async #book(ending: Ending | undefined): ReturnType<Attempt['book']> {
    const { books, logger } = this.#components
    const request = this.#request
    if (ending?.dispute !== undefined) {
      request.report.ended(this.node.id, ending.dispute, this.#ms())
    }
    const account = this.#account(ending)
    if (account === undefined) return undefined
    const booking = books.write(account)
    this.#part(booking.then(nothing, nothing))
    try {
      return await booking
    } catch (error) {
      logger.warn('an answer did not come into the log', { job: request.job.id, error })
      throw error
    }
  }

  /** It may still come to something that is to be paid. */
  #part(parting: Promise<void>): void {
    this.#request.payment?.hold(parting)
    this.#components.parting(parting)
  }

  #account(ending: Ending | undefined): Account | undefined {
    const request = this.#request
    // The others' work is told of where the answer ends.
    if (this.#isPassedOver) return ending && { ...ownAccount(request, ending), isInVain: true }
    if (ending !== undefined) return wholeAccount(request, ending)
    return lostAccount(request, cancelledDone(request.job))
  }

  succeeded(): void {
    const { dispatcher, clock } = this.#components
    const { engagement, entry, model } = this.#assignment
    if (this.#hasLied) {
      engagement.failed(true)
      dispatcher.lost(this.#request, entry.peerId)
      this.#end('misbehaved')
      return
    }
    engagement.succeeded(this.times.result(clock.elapsed()))
    dispatcher.served(this.#request, entry.peerId)
    for (const { engagement: other, contextLength } of this.#request.declined) {
      if (model.contextLength <= contextLength) other.refuted()
    }
    this.#end('ok')
  }

  left(): void {
    this.#assignment.engagement.left()
    this.#end('cancelled')
  }

  failed(error: unknown): void {
    if (!(error instanceof ProviderError)) {
      this.left()
      throw error
    }
    const loss = this.#checked(error)
    if (loss.code === 'publishes_none' && this.#isPublic) {
      this.#hide()
      return
    }
    this.#blame(loss)
    const request = this.#request
    request.lastError = loss
    if (loss.loss !== 'busy') request.tried.add(this.node.id)
    if (isUnheard(loss)) request.unheardOf(this.node.id, this.#components.clock.elapsed())
    else request.heard()
    if (this.times.begun) {
      request.report.ended(this.node.id, outcomeOf(loss), this.#ms())
      this.#handOver(loss)
      return
    }
    this.#isPassedOver = true
    request.report.attempted(this.node.id, outcomeOf(loss), this.#ms())
    if (this.#isRefusal(loss) && this.#ms() <= AT_ONCE_MS) request.refusedAtOnce++
    if (loss.loss === 'declined' && request.handover === undefined) this.#declined(loss)
  }

  /** The client has a part of the answer: another is to go on with it. */
  #handOver(loss: ProviderError): void {
    const request = this.#request
    const told = cutShort(loss)
    if (this.#came === undefined) {
      // All time is over; it is still there to say what it has done.
      if (request.handover !== undefined) request.handover.isLeft = true
      throw told
    }
    const { hash, ending } = this.#came
    const lost = { effort: this, hash, share: ending?.share, dispute: loss.loss, told }
    handOver(request, lost, this.#components.clock.elapsed())
  }

  /** It is asked again at once, and nobody is to hear of it. */
  #hide(): void {
    const request = this.#request
    this.#assignment.engagement.hidden()
    request.report.attempted(this.node.id, 'unwilling: publishes_none', this.#ms())
    request.refusedAtOnce++
    this.#end('unwilling')
  }

  /** Told once enough agree: a single liar would have every request fail. */
  #declined(loss: ProviderError): void {
    const request = this.#request
    const { engagement, model } = this.#assignment
    const tooLong = loss.code === 'context_length_exceeded'
    const contextLength = tooLong ? model.contextLength : Number.POSITIVE_INFINITY
    request.declinedFor ??= loss
    request.declined.push({ engagement, contextLength })
    if (!request.isDeclined) return
    if (!tooLong) throw asTold(loss)
    // Another peer may serve the same model with a longer context.
    request.contextTooSmall = Math.max(request.contextTooSmall, model.contextLength)
  }

  /** A provider that calls a short prompt too long would have every request fail. */
  #checked(error: ProviderError): ProviderError {
    const { model, entry } = this.#assignment
    if (error.loss !== 'declined' || error.code !== 'context_length_exceeded') return error
    // What others wrote of the answer is in it.
    if (this.#request.handover !== undefined) return error
    if (mayExceed(this.#request.job.work, model.contextLength)) return error
    const { message } = misbehaved('no such prompt is longer than its context')
    this.#components.network.fault(entry.peerId, 'penalise', message)
    return lost('misbehaved', message, error)
  }

  #blame(error: ProviderError): void {
    const { dispatcher, suspect, logger } = this.#components
    const { engagement, entry, model } = this.#assignment
    const { loss, code, message, retryAfterMs } = error
    const { peerId } = entry
    if (loss === 'busy') engagement.refused(code, retryAfterMs)
    else if (this.#isDeclining(error) || this.#cantGoOn(error)) engagement.left()
    else if (loss === 'unwilling') engagement.unwilling()
    else engagement.failed(isSure(error))
    if (isUnheard(error)) suspect(peerId)
    if (loss !== 'declined') dispatcher.lost(this.#request, peerId)
    this.#end(loss)
    const { id: job } = this.#request.job
    logger.debug('an attempt failed', { job, peerId, model: model.id, loss, code, message })
  }

  /** Whoever has begun has found no fault with the request. */
  #isDeclining({ loss }: ProviderError): boolean {
    return loss === 'declined' && !this.times.begun
  }

  /** An older version, say. It does all other jobs. */
  #cantGoOn(error: ProviderError): boolean {
    return needsTheBeginning(error) && this.#request.handover?.begun !== undefined
  }

  /** Not of one that is busy, which is asked again, nor of one that broke down at the job. */
  #isRefusal({ loss }: ProviderError): boolean {
    return loss !== 'busy' && !this.#accepted
  }

  #ms(): number {
    return this.times.msSince(this.#components.clock.elapsed())
  }

  #end(outcome: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#components.metrics.attempts.add(1, { where: this.where, outcome })
    this.#components.dispatcher.freed(this.model.id, 1)
  }
}

/** As the route says it: `busy`, or `failed: model_failed`. */
function outcomeOf({ loss, code }: ProviderError): string {
  return code === 'provider_failed' || code === 'provider_misbehaved' ? loss : `${loss}: ${code}`
}
