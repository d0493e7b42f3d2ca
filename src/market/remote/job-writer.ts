import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { PeerError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Identity } from '../../identity/identity.ts'
import { needsOf } from '../../wire/capability.ts'
import { DRAFTERS_MAX } from '../../wire/drafting.ts'
import type { Signed, WireJob } from '../../wire/generate.ts'
import { signJob } from '../../wire/generate-codec.ts'
import { TIME_MS_MAX } from '../../wire/generate-shape.ts'
import type { Job, Price } from '../../wire/job.ts'
import { isWithinBounds, packBody, packResumes } from '../../wire/job-body.ts'

export interface JobWriterComponents {
  identity: Pick<Identity, 'peerId' | 'sign'>
  random: Random
  /** 32 bytes that nobody else knows: accounts are told to providers only through them. */
  secret: Uint8Array
}

export interface JobWriterOptions {
  network: string
}

/** What differs from attempt to attempt. */
export interface AttemptTerms {
  provider: string
  model: string
  attempt: number
  firstTokenMs: number
  totalMs: number
  maxPrice: Price
  /** False: this provider publishes nothing, so this peer does not either. */
  isPublic: boolean
  /** What of the answer is there already. */
  resume?: ResumeFields
}

type ResumeFields = ReturnType<typeof packResumes>['fields']

const fromTheBeginning = packResumes([]).fields

/** A job's bytes, the same for each provider that is asked, and its signed cover for each. */
export interface WrittenJob {
  body: Uint8Array
  promptRoot: Uint8Array
  promptNonce: Uint8Array
  sign(terms: AttemptTerms): Signed
}

/** Puts jobs into the words of the wire. */
export class JobWriter {
  readonly #components: JobWriterComponents
  readonly #options: JobWriterOptions
  /** Of bytes, a new one would be made for each job, which costs more than the hash. */
  readonly #secret: KeyObject

  constructor(components: JobWriterComponents, options: JobWriterOptions) {
    this.#components = components
    this.#options = options
    this.#secret = createSecretKey(components.secret)
  }

  write(job: Job): WrittenJob {
    const written = packBody(job.work, this.#components.random.bytes(32))
    // A client’s request is, but for images that were fetched, schemas as text and calls without number.
    if (needsOf(job.work).length > 0 && !isWithinBounds(written.bytes)) throw tooLarge()
    return this.#write(job, written, attemptId)
  }

  /** The job of drafting for it: nobody else drafts for that, or looks at it. */
  writeDraft(job: Job): WrittenJob {
    const { watched: _watched, drafters: _drafters, ...alone } = job
    const written = packBody(job.work, this.#components.random.bytes(32), 'draft')
    return this.#write(alone, written, draftId)
  }

  #write(
    job: Job,
    { bytes: body, fields }: ReturnType<typeof packBody>,
    idOf: typeof attemptId,
  ): WrittenJob {
    const { identity } = this.#components
    const { network } = this.#options
    const common = {
      ...fields,
      coordinator: identity.peerId,
      sampler: '',
      verification: 'none',
      jurisdiction: job.wishes?.jurisdiction ?? '',
      receiptPrivacy: job.wishes?.receiptPrivacy ?? 'plain',
      provisional: job.watched === true,
      drafters: [...(job.drafters ?? [])].slice(0, DRAFTERS_MAX),
    } satisfies Partial<WireJob>
    const sign = (terms: AttemptTerms): Signed => {
      const { provider, model, attempt, maxPrice, isPublic, resume = fromTheBeginning } = terms
      const firstTokenMs = inRange(terms.firstTokenMs)
      const cover: WireJob = {
        ...common,
        ...resume,
        cacheScope: createHmac('sha256', this.#secret).update(job.cacheScope).digest(),
        jobId: idOf(job, attempt),
        provider,
        model,
        attempt,
        expiresInMs: firstTokenMs,
        firstTokenMs,
        totalMs: inRange(terms.totalMs),
        maxPrice,
        publish: isPublic ? 'receipts' : 'none',
      }
      return signJob(cover, { network, sign: (message) => identity.sign(message) })
    }
    const { promptRoot, promptNonce } = fields
    return { body, promptRoot, promptNonce, sign }
  }
}

/** Each attempt has receipts of its own. */
export const attemptId = ({ id }: Pick<Job, 'id'>, attempt: number): string => `${id}.${attempt}`

/** `<job>.d<attempt>`, of an attempt's job as of a whole one. */
export const draftId: typeof attemptId = ({ id }, attempt) => {
  const [, job = id, of = attempt] = /^(.+)\.(\d+)$/.exec(id) ?? []
  return `${job}.d${of}`
}

const tooLarge = (): PeerError =>
  new PeerError(
    'request_too_large',
    'With its images, tools and calls, this request is more than a peer takes. Shorten it.',
    { param: 'messages' },
  )

const inRange = (ms: number): number => Math.min(TIME_MS_MAX, Math.max(1, Math.round(ms)))
