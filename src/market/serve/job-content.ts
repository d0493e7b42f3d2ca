import { finishesOf } from '../../engines/lanes.ts'
import type { WireJob } from '../../wire/generate.ts'
import type { Job } from '../../wire/job.ts'
import { openBody, openResumes } from '../../wire/job-body.ts'
import { malformed } from '../../wire/malformed.ts'

/** Bytes that follow the job. */
export const contentBytes = ({ bodyBytes, resumeBytes }: WireJob): number => bodyBytes + resumeBytes

/** What is to be done, and what of it is done already; throws where the bytes are not the job's. */
export function openContent(wire: WireJob, bytes: Uint8Array): Pick<Job, 'work' | 'resume'> {
  const work = openBody(wire, bytes.subarray(0, wire.bodyBytes))
  const resume = openResumes(wire, bytes.subarray(wire.bodyBytes))
  if (resume.length === 0) return { work }
  const choices = finishesOf(work)
  if (resume.some(({ choice }) => choice >= choices)) {
    throw malformed('Resume.choice', 'is none of this job')
  }
  return { work, resume }
}

/** Where each choice goes on; empty for an answer that begins here. */
export function resumedAt({ work, resume }: Pick<Job, 'work' | 'resume'>): number[] {
  if (resume === undefined) return []
  const at = Array.from({ length: finishesOf(work) }, () => 0)
  for (const { choice, ids } of resume) at[choice] = ids.length
  return at
}
