import type { Clock } from '../base/clock.ts'
import { BusyError } from '../base/errors.ts'
import type { Chunk, Generate } from '../wire/chunk.ts'
import type { Job } from '../wire/job.ts'
import { FairGate, type FairGateOptions, type Refusal } from './fair-gate.ts'
import { cancelledDone, lanesOf } from './lanes.ts'

export const defaultScheduler = {
  slots: 4,
  /** Jobs. At a few seconds each the last one waits for about a minute: longer than people do. */
  queueMax: 64,
  /** Jobs of one account or peer: however much it asks, a quarter of the queue stays for others. */
  scopeMax: 48,
} satisfies FairGateOptions

/** Clients give up on longer ones. */
const RETRY_AFTER_MS_MAX = 60_000
const RETRY_AFTER_MS_MIN = 1000
/** Weight of the newest job in the smoothed running time. */
const SMOOTHING = 0.2

export interface SchedulerLoad {
  /** Lanes that may run at once. */
  slots: number
  /** Jobs. */
  running: number
  /** Jobs. */
  queued: number
  /** Jobs let through since the beginning. */
  admitted: number
}

/** A `Generate` with a bounded, fair queue before it. */
export interface Scheduled {
  (job: Job, options: { signal: AbortSignal }): AsyncIterable<Chunk>
  load(): SchedulerLoad
  /** Jobs that run keep running; a smaller number counts from the next one on. */
  resize(slots: number): void
}

/**
 * Admits as many lanes as there are slots. A job that waits yields `progress` with its place;
 * one that finds the queue full fails with a BusyError. `onLoad` is called when slots are taken or
 * given back, and when the queue changes.
 */
export function scheduled(
  generate: Generate,
  components: { clock: Clock; onLoad?: () => void },
  options: Partial<FairGateOptions> = {},
): Scheduled {
  const limits = { ...defaultScheduler, ...options }
  const gate = new FairGate(limits, components.onLoad)
  const runningTime = new RunningTime(components.clock)

  const enter = (job: Job) => {
    const { queueScope = job.cacheScope, queueShare, work } = job
    const ticket = gate.enter(queueScope, lanesOf(work), queueShare)
    if (typeof ticket === 'object') return ticket
    throw busy(ticket, limits, runningTime.forJobs(gate.queued, gate.slots))
  }

  async function* run(job: Job, { signal }: { signal: AbortSignal }): AsyncGenerator<Chunk> {
    if (signal.aborted) {
      yield cancelledDone(job)
      return
    }
    const ticket = enter(job)
    const leaveQueue = () => {
      if (ticket.state === 'waiting') ticket.leave()
    }
    signal.addEventListener('abort', leaveQueue, { once: true })
    try {
      let shown: number | undefined
      while (ticket.state === 'waiting') {
        if (shown === ticket.place) {
          await ticket.changed()
        } else {
          shown = ticket.place
          yield queueProgress(shown + 1)
        }
      }
      if (shown !== undefined && !signal.aborted) yield queueProgress(0)
      if (signal.aborted) {
        ticket.leave()
        yield cancelledDone(job)
        return
      }
      const stopwatch = runningTime.begin()
      for await (const chunk of generate(job, { signal })) {
        // The lanes are free although the reader may not come back for a while.
        if (chunk.type === 'done') {
          stopwatch()
          ticket.leave()
        }
        yield chunk
      }
    } finally {
      signal.removeEventListener('abort', leaveQueue)
      ticket.leave()
    }
  }

  return Object.assign(run, {
    load: () => {
      const { slots, running, queued, admitted } = gate
      return { slots, running, queued, admitted }
    },
    resize: (slots: number) => gate.resize(slots),
  })
}

/** A waiting job has at least one before it: the one that runs. */
function queueProgress(queued: number): Chunk {
  return { type: 'progress', queued, prefilled: 0, total: 0 }
}

function busy(refusal: Refusal, limits: FairGateOptions, retryAfterMs: number): BusyError {
  const what =
    refusal === 'queue-full'
      ? `The queue of this model is full (${limits.queueMax} requests wait).`
      : `${limits.scopeMax} requests of this account or peer wait for this model already.`
  const seconds = Math.ceil(retryAfterMs / 1000)
  return new BusyError(`${what} Ask again in about ${seconds} s.`, retryAfterMs)
}

/** How long jobs hold their slots, smoothed, to tell a refused one when to come back. */
class RunningTime {
  readonly #clock: Clock
  #meanMs = RETRY_AFTER_MS_MIN

  constructor(clock: Clock) {
    this.#clock = clock
  }

  begin(): () => void {
    const started = this.#clock.elapsed()
    return () => {
      this.#meanMs += SMOOTHING * (this.#clock.elapsed() - started - this.#meanMs)
    }
  }

  forJobs(count: number, slots: number): number {
    const estimate = (this.#meanMs * count) / slots
    return Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, Math.round(estimate)))
  }
}
