import type { Clock } from '../../base/clock.ts'
import type { Chunk, Done, Provisional, Routed, Segmented } from '../../wire/chunk.ts'
import { ryv1Cid } from '../../wire/cid.ts'
import { receiptDigest } from '../../wire/receipt.ts'
import { v8Frame } from '../../wire/v8-codec.ts'
import { V8Composer } from '../../wire/v8-composer.ts'
import type { V8Event } from '../../wire/v8-event.ts'
import { openAiError } from '../error-answer.ts'
import { endTrailers, nodeJson, receiptOfAnswer } from '../work-headers.ts'
import { cutAnswer, type StreamParts, toReason, toTextReason, toUsage } from './answer.ts'

export interface WatchedParts extends StreamParts {
  clock: Clock
  /** By `clock.elapsed()`: when the request came. */
  cameAt: number
  jobId: string
  /** As the client calls it. */
  model: string
}

/** The answer, and what is drafted of it, as events of a v8 stream. Errors as with other streams. */
export async function streamWatched(
  chunks: AsyncIterable<Chunk>,
  parts: WatchedParts,
): Promise<void> {
  const { writer, requestId, onRouted } = parts
  const events = new WatchedAnswer(parts)
  let sent = 0
  const send = (event: V8Event) => writer.frame(v8Frame(event, sent++))
  try {
    for await (const chunk of chunks) {
      if (chunk.type === 'routed') onRouted(chunk)
      for (const event of events.of(chunk)) send(event)
      if (chunk.type === 'done') writer.done(endTrailers(chunk))
      if (writer.full) await writer.drained()
    }
  } catch (error) {
    const answer = cutAnswer(error, parts)
    send({ event: 'error', ...openAiError(answer, requestId) })
    writer.close()
  }
}

class WatchedAnswer {
  readonly #parts: WatchedParts
  readonly #composer: V8Composer
  /** Before it is told who answers, drafts have no place. */
  #isOpen = false

  constructor(parts: WatchedParts) {
    this.#parts = parts
    this.#composer = new V8Composer(parts.requestId)
  }

  of(chunk: Chunk): V8Event[] {
    switch (chunk.type) {
      case 'routed':
        return this.#opened(chunk)
      case 'provisional':
        return this.#isOpen ? this.#drafted(chunk) : []
      case 'tokens':
        return this.#composer.tokens(chunk)
      case 'rollback':
        return this.#isOpen ? this.#composer.rollback(chunk) : []
      case 'segment':
        return this.#signed(chunk)
      case 'done':
        return this.#ended(chunk)
      default:
        return []
    }
  }

  #opened({ node, openCid }: Routed): V8Event[] {
    const { jobId, model } = this.#parts
    this.#isOpen = true
    return this.#composer.open({
      job_id: jobId,
      model,
      node: nodeJson(node),
      open_cid: openCid ?? null,
    })
  }

  #drafted(drafts: Provisional): V8Event[] {
    const { clock, cameAt } = this.#parts
    return this.#composer.drafts(drafts, Math.floor(clock.elapsed() - cameAt))
  }

  #signed({ start = 0, end, receipt }: Segmented): V8Event[] {
    const cid = ryv1Cid(receiptDigest(receipt))
    return this.#composer.segment({ cid, start, end: start + end })
  }

  #ended({ finish: [finish = 'cancelled'], usage, receipt, resumed }: Done): V8Event[] {
    const { prompt_tokens, completion_tokens, total_tokens } = toUsage(usage)
    return this.#composer.finalize({
      finish_reason: toTextReason(toReason(finish)),
      usage: { prompt_tokens, completion_tokens, total_tokens },
      receipt: receipt === undefined ? null : receiptOfAnswer(receipt, resumed),
    })
  }
}
