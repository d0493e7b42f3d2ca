import type { Logger } from '../../base/logger.ts'
import { cancelledDone } from '../../engines/lanes.ts'
import type { AnswerReceipt, Chunk, Done } from '../../wire/chunk.ts'
import { parseModelId } from '../../wire/model-id.ts'
import type { Books } from '../books.ts'
import type { Request } from '../request.ts'
import { lostAccount } from './account.ts'
import { Handover, type Lost } from './handover.ts'

const nothing = (): void => {}

/** Has another provider go on with the answer; throws what the client is told where none can. */
export function handOver(request: Request, lost: Lost, now: number): void {
  request.handover ??= new Handover(lost)
  const isShort = request.handover.lost(lost)
  // Of what is declared, nobody knows whether another has the same behind the name.
  const isKnown =
    lost.effort.model.id === request.modelId && parseModelId(request.modelId)?.type === 'cid'
  if (!isShort || !isKnown || now >= request.doneBy) throw lost.told
  request.goesOn(now)
}

export interface FailoverComponents {
  books: Pick<Books, 'write'>
  /** Told of what is written although its reader may be gone. */
  parting(parting: Promise<void>): void
  logger: Logger
}

/** Sees to it that a client gets one answer, however many providers it took. */
export class Failover {
  readonly #components: FailoverComponents

  constructor(components: FailoverComponents) {
    this.#components = components
  }

  /** What another provider adds to the answer, as the client gets it. */
  async passed(request: Request, handover: Handover, chunk: Chunk): Promise<Chunk[]> {
    switch (chunk.type) {
      case 'tokens':
        handover.tokens(chunk)
        return [chunk]
      case 'vectors':
        return handover.missing(chunk)
      case 'segment':
        return [{ ...chunk, start: handover.partStart }]
      case 'done':
        return [await this.#ended(request, handover, chunk)]
      default:
        return [chunk]
    }
  }

  /** The client left while nobody was at work. */
  async left(request: Request): Promise<Done> {
    const done = cancelledDone(request.job, request.inputTokens)
    const { handover } = request
    return handover === undefined ? done : await this.#ended(request, handover, done)
  }

  /** Nobody goes on: what was done is in the log before the client hears of it. */
  async givenUp(request: Request): Promise<void> {
    if (request.handover?.isLeft !== false) return
    try {
      await this.#close(request, cancelledDone(request.job, request.inputTokens))
    } catch (error) {
      const { id: job } = request.job
      this.#components.logger.warn('an answer did not come into the log', { job, error })
    }
  }

  async #ended(request: Request, handover: Handover, done: Done): Promise<Done> {
    const receipt = done.receipt ?? (await this.#close(request, done))
    const { times, nodes } = handover
    const route = request.report.route()
    return {
      ...handover.whole(done, request.inputTokens),
      ...(receipt && { receipt }),
      ...(times > 0 && { resumed: { times, nodes, route } }),
    }
  }

  /** Undefined where it is in the log already, or there is nothing to tell. */
  async #close(request: Request, done: Done): Promise<AnswerReceipt | undefined> {
    const { books, parting } = this.#components
    const account = lostAccount(request, done)
    if (account === undefined) return undefined
    const booking = books.write(account)
    parting(booking.then(nothing, nothing))
    return (await booking).receipt
  }
}
