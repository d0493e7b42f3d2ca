import type { Job } from '../../wire/job.ts'

/** The same job with those who may see it to draft for it: whom it names, and whom the owner allows. */
export function withDrafters(job: Job, owners: readonly string[]): Job {
  const { drafters: named = [], wishes: { only, not = [] } = {} } = job
  const all = [...new Set([...named, ...owners])]
  const drafters = all.filter((id) => !not.includes(id) && (only?.includes(id) ?? true))
  return drafters.length === 0 && named.length === 0 ? job : { ...job, drafters }
}
