import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { PeerError } from '../../base/errors.ts'
import { hexName } from '../../base/hex.ts'
import type { FrameStream, Network } from '../../network/network.ts'
import type { Cid } from '../../wire/cid.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import type { Signed } from '../../wire/generate.ts'
import { openHead } from '../../wire/head.ts'
import type { Batch } from '../../wire/log-batch.ts'
import { protocols } from '../../wire/protocols.ts'
import type { OpenReceipt } from '../../wire/receipt.ts'
import type { Verifying } from '../../wire/signed.ts'
import {
  checkOpen,
  decodeSyncAnswer,
  encodeSyncRequest,
  getRequest,
  type OpenFound,
  openFound,
  type PlaceMark,
  type Range,
  type SyncAnswer,
  type SyncRequest,
} from '../../wire/sync.ts'
import { feedName } from '../feeds/feed-id.ts'
import { notAsked, type RangeCheck } from './range-check.ts'

/** To dial and shake hands over a bad link. */
const OPEN_MS = 5_000
/** From one frame of an answer to the next; the other side may be reading from a slow disk. */
const SILENCE_MS = 10_000
/** More logs than a peer takes in. */
const PLACES_FRAMES_MAX = 256
/** Of 256 authors, each with some epochs. */
const HEADS_FRAMES_MAX = 64
/** Of one question for ranges: what is more comes in another. */
const BATCHES_MAX = 4_096
/** Frames that only a newer version knows, or that are no answer to this. */
const SPARE_FRAMES = 16

export interface AskComponents {
  network: Pick<Network, 'open' | 'fault'>
  clock: Clock
  verifying: Verifying
}

interface AnswerLimits {
  framesMax: number
  /** Undefined: as long as it takes. */
  silenceMs: number | undefined
}

/**
 * Lets `task` ask that peer over one stream, which ends with it. What the peer answers wrongly is a
 * fault of it.
 */
export async function asking<T>(
  components: AskComponents,
  peerId: string,
  { signal }: { signal: AbortSignal },
  task: (client: SyncClient) => Promise<T>,
): Promise<T> {
  const { network, clock } = components
  const opening = { ms: OPEN_MS, what: 'Opening a stream for logs', signal }
  const stream = await within(clock, opening, (ending) =>
    network.open(peerId, protocols.sync, { signal: ending }),
  )
  try {
    return await task(new SyncClient(stream, components, signal))
  } catch (error) {
    if (error instanceof PeerError && isFault(error)) {
      network.fault(peerId, error.action ?? 'penalise', error.code)
    }
    throw error
  } finally {
    stream.reset(new PeerError('done', 'Nothing more is asked.'))
  }
}

const isFault = ({ action }: PeerError): boolean => action !== undefined && action !== 'ignore'

/** `sync/1`, the asking side: one question after the other, each answer within its bounds. */
export class SyncClient {
  readonly #stream: FrameStream
  readonly #clock: Clock
  readonly #verifying: Verifying
  readonly #signal: AbortSignal

  constructor(
    stream: FrameStream,
    { clock, verifying }: Pick<AskComponents, 'clock' | 'verifying'>,
    signal: AbortSignal,
  ) {
    this.#stream = stream
    this.#clock = clock
    this.#verifying = verifying
    this.#signal = signal
  }

  get peerId(): string {
    return this.#stream.peerId
  }

  /** Where all logs stand that the other peer knows differently. */
  async *places(buckets: Uint8Array): AsyncGenerator<PlaceMark[]> {
    const answers = this.#answers({ type: 'digest', buckets }, limits(PLACES_FRAMES_MAX))
    for await (const answer of answers) {
      if (answer.type === 'end') return
      if (answer.type !== 'places') throw notAsked()
      yield answer.places
    }
  }

  /** The newest heads of these authors' logs, one of each; their signatures hold. */
  async heads(authors: Uint8Array[]): Promise<Signed[]> {
    const wanted = new Set(authors.map(hexName))
    const heads = new Map<string, Signed>()
    const answers = this.#answers({ type: 'authors', authors }, limits(HEADS_FRAMES_MAX))
    for await (const answer of answers) {
      if (answer.type === 'end') break
      if (answer.type !== 'heads') throw notAsked()
      for (const signed of answer.heads) {
        const head = openHead(signed, this.#verifying)
        const name = feedName(head)
        if (!wanted.has(hexName(head.author)) || heads.has(name)) throw notAsked()
        heads.set(name, signed)
      }
    }
    return [...heads.values()]
  }

  /**
   * What `check` was made to wait for, then the word with which the answer ended: empty where that
   * was all.
   */
  async *ranges(ranges: Range[], check: RangeCheck): AsyncGenerator<LogPiece | End> {
    const answers = this.#answers({ type: 'ranges', ranges }, limits(BATCHES_MAX))
    for await (const answer of answers) {
      if (answer.type === 'end') yield answer
      else yield pieceOf(answer, check)
    }
  }

  /** The same, and then what comes new, until the other peer ends it. */
  async *follow(ranges: Range[], check: RangeCheck): AsyncGenerator<LogPiece> {
    const endless = { framesMax: Number.POSITIVE_INFINITY, silenceMs: undefined }
    for await (const answer of this.#answers({ type: 'follow', ranges }, endless)) {
      if (answer.type === 'end') return
      yield pieceOf(answer, check)
    }
  }

  /** Checked: it is what was asked for, and stands in the log of its author. */
  async get(cid: Cid): Promise<OpenFound | OpenReceipt | undefined> {
    let found: OpenFound | OpenReceipt | undefined
    for await (const answer of this.#answers(getRequest(cid), limits(1))) {
      if (answer.type === 'end') break
      if (answer.type === 'open') {
        checkOpen(answer.receipt, cid, this.#verifying)
        found = answer.receipt
      } else if (answer.type === 'found') found = openFound(answer, cid, this.#verifying)
      else throw notAsked()
    }
    return found
  }

  /** Resolves once the other peer has heard it. */
  async tell(proof: Equivocation): Promise<void> {
    for await (const answer of this.#answers({ type: 'equivocation', ...proof }, limits(0))) {
      if (answer.type !== 'end') throw notAsked()
    }
  }

  /** To the end of the answer, that included. */
  async *#answers(
    request: SyncRequest,
    { framesMax, silenceMs }: AnswerLimits,
  ): AsyncGenerator<SyncAnswer> {
    this.#stream.write(encodeSyncRequest(request))
    for (let frames = 0; frames <= framesMax; frames++) {
      const frame = await this.#read(silenceMs)
      if (frame === undefined) {
        throw new PeerError('sync_cut', 'The other side ended the stream amid its answer.')
      }
      const answer = decodeSyncAnswer(frame)
      if (answer === undefined) continue
      if (answer.type === 'end' && answer.reason === 'busy') throw isBusy()
      yield answer
      if (answer.type === 'end') return
    }
    throw new PeerError('sync_endless', 'The answer has more frames than it may have.', {
      action: 'penalise',
    })
  }

  #read(silenceMs: number | undefined): Promise<Uint8Array | undefined> {
    const signal = this.#signal
    if (silenceMs === undefined) return this.#stream.read({ signal })
    const waiting = { ms: silenceMs, what: 'An answer about logs', signal }
    return within(this.#clock, waiting, (ending) => this.#stream.read({ signal: ending }))
  }
}

/** Nothing was said, which is not that there is nothing. */
const isBusy = () => new PeerError('sync_busy', 'The other peer has no time for this now.')

/** What comes of a log: entries, or why there are none. */
export type LogPiece = { type: 'batch'; batch: Batch } | ({ type: 'equivocation' } & Equivocation)

export type End = Extract<SyncAnswer, { type: 'end' }>

function pieceOf(answer: SyncAnswer, check: RangeCheck): LogPiece {
  if (answer.type === 'batch') check.batch(answer.batch)
  else if (answer.type === 'equivocation') check.equivocation(answer)
  else throw notAsked()
  return answer
}

const limits = (framesMax: number): AnswerLimits => ({
  framesMax: framesMax + SPARE_FRAMES,
  silenceMs: SILENCE_MS,
})
