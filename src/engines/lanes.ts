import type { Done } from '../wire/chunk.ts'
import type { Job, Work } from '../wire/job.ts'

/** How many answers a job writes side by side. An embedding is one pass over all its inputs. */
export function lanesOf(work: Work): number {
  switch (work.kind) {
    case 'chat':
      return work.sampling.choices
    case 'completion':
      return work.prompts.length * work.sampling.choices
    case 'embedding':
      return 1
  }
}

/** Of so many slots, those that a part of them is: one at least. */
export function slotsOf(slots: number, share = 1): number {
  return Math.max(1, Math.floor(slots * share))
}

/** How many entries the `finish` of a job's last chunk has. */
export function finishesOf(work: Work): number {
  return work.kind === 'embedding' ? 0 : lanesOf(work)
}

/** The last chunk of a job that was given up, with what had been delivered until then. */
export function cancelledDone(job: Job, inputTokens = 0, outputTokens = 0): Done {
  return {
    type: 'done',
    finish: Array.from({ length: finishesOf(job.work) }, () => 'cancelled' as const),
    usage: { inputTokens, cachedTokens: 0, outputTokens },
  }
}
