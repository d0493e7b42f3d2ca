import type { Clock } from '../../base/clock.ts'
import { Allowance, type Settlement } from './allowance.ts'
import { Refusal } from './refusal.ts'
import { SeenJobs } from './seen-jobs.ts'

export const admissionLimits = {
  /** Jobs, of all coordinators: what a queue does not take is refused soon, but it is here until then. */
  openMax: 1024,
  /** Remembered with their allowance: several times as many as can be connected. */
  coordinatorsMax: 1024,
  /** Over a hundred jobs a second for as long as their ids are kept; about 10 MB. */
  seenOfOneMax: 131_072,
  seenMax: 262_144,
  /** Prompts of jobs that are open. The largest one is 20 MiB; most are a few KiB. */
  bodyBytesMax: 128 * 1024 * 1024,
  bodyBytesOfOneMax: 64 * 1024 * 1024,
} as const

export type AdmissionLimits = { [Name in keyof typeof admissionLimits]: number }

/** About what a short answer takes. */
const RETRY_AFTER_MS = 1000
const SEEN_RETRY_AFTER_MS = 60_000

interface Coordinator {
  allowance: Allowance
  seen: SeenJobs
  bodyBytes: number
}

/** What coordinators have open here, and what each of them may have. */
export class Admission {
  readonly #clock: Clock
  readonly #limits: AdmissionLimits
  /** The one that came last is the last. */
  readonly #coordinators = new Map<string, Coordinator>()
  #open = 0
  #seen = 0
  #bodyBytes = 0

  constructor({ clock }: { clock: Clock }, limits: Partial<AdmissionLimits> = {}) {
    this.#clock = clock
    this.#limits = { ...admissionLimits, ...limits }
  }

  /** Jobs. */
  get open(): number {
    return this.#open
  }

  /** Those that are remembered. */
  get coordinators(): number {
    return this.#coordinators.size
  }

  /** Throws the refusal; what it returns must be left. `work`: the same for each try of a job. */
  enter(peerId: string, jobId: string, work: string): Admitted {
    const now = this.#clock.elapsed()
    const coordinator = this.#recall(peerId, now)
    const { allowance, seen } = coordinator
    if (seen.has(jobId)) {
      const message = 'A job of this id was sent before. Give each attempt an id of its own.'
      throw new Refusal('replayed', message, { action: 'penalise' })
    }
    if (seen.size >= this.#limits.seenOfOneMax) {
      throw overloaded('You have sent too many jobs lately.', SEEN_RETRY_AFTER_MS)
    }
    if (this.#open >= this.#limits.openMax) throw overloaded('Too many jobs are open here.')
    const place = allowance.enter(now, work)
    if (place === undefined) throw notAllowed(allowance.size)
    seen.add(jobId)
    this.#seen++
    this.#open++
    this.#forgetSome()
    return new Admitted({
      allowance: () => allowance.size,
      hold: (bytes) => this.#hold(coordinator, bytes),
      leave: (settlement, held) => {
        this.#open--
        this.#bodyBytes -= held
        coordinator.bodyBytes -= held
        allowance.leave(settlement, this.#clock.elapsed(), place.work)
      },
    })
  }

  #recall(peerId: string, now: number): Coordinator {
    const coordinator = this.#coordinators.get(peerId) ?? {
      allowance: new Allowance(),
      seen: new SeenJobs(now),
      bodyBytes: 0,
    }
    this.#coordinators.delete(peerId)
    this.#coordinators.set(peerId, coordinator)
    this.#seen -= coordinator.seen.size
    coordinator.seen.forgetOld(now)
    this.#seen += coordinator.seen.size
    return coordinator
  }

  /**
   * Lets those go that were here longest ago, newcomers before all others. Nobody else is the worse
   * for it: a job comes from its coordinator alone, so only that one could send its old jobs again.
   */
  #forgetSome(): void {
    const { coordinatorsMax, seenMax } = this.#limits
    for (const sizeMax of [1, Number.POSITIVE_INFINITY]) {
      for (const [peerId, { allowance, seen }] of this.#coordinators) {
        if (this.#coordinators.size <= coordinatorsMax && this.#seen <= seenMax) return
        if (allowance.running > 0 || allowance.size > sizeMax) continue
        this.#coordinators.delete(peerId)
        this.#seen -= seen.size
      }
    }
  }

  #hold(coordinator: Coordinator, bytes: number): void {
    const { bodyBytesMax, bodyBytesOfOneMax } = this.#limits
    if (coordinator.bodyBytes + bytes > bodyBytesOfOneMax) {
      throw overloaded('The prompts of your open jobs are too large together.')
    }
    if (this.#bodyBytes + bytes > bodyBytesMax) {
      throw overloaded('The prompts of all open jobs are too large together.')
    }
    coordinator.bodyBytes += bytes
    this.#bodyBytes += bytes
  }
}

interface Holdings {
  allowance: () => number
  hold: (bytes: number) => void
  leave: (settlement: Settlement, held: number) => void
}

/** A job's place among those that are open. */
export class Admitted {
  readonly #holdings: Holdings
  #held = 0
  #left = false

  constructor(holdings: Holdings) {
    this.#holdings = holdings
  }

  /** Jobs that its coordinator may have open now. */
  get allowance(): number {
    return this.#holdings.allowance()
  }

  /** Counts bytes of its body, until it is left. Throws where they are too many. */
  hold(bytes: number): void {
    this.#holdings.hold(bytes)
    this.#held += bytes
  }

  /** Only the first call counts. */
  leave(settlement: Settlement): void {
    if (this.#left) return
    this.#left = true
    this.#holdings.leave(settlement, this.#held)
  }
}

function overloaded(what: string, retryAfterMs = RETRY_AFTER_MS): Refusal {
  return new Refusal('overloaded', `${what} Ask again later.`, { retryAfterMs })
}

function notAllowed(size: number): Refusal {
  return new Refusal(
    'allowance',
    `You may have ${size} unacknowledged ${size === 1 ? 'job' : 'jobs'} here, and have as many.`,
    { retryAfterMs: RETRY_AFTER_MS },
  )
}
