/** A job from which the next token or vector is awaited. */
export interface Waiting {
  /** `clock.elapsed()` */
  since: number
  before: Waiting | undefined
  after: Waiting | undefined
  isWaiting: boolean
}

/** Jobs at one provider, those from which nothing has come for longest first. */
export class Waits {
  #first: Waiting | undefined
  #last: Waiting | undefined

  begin(job: Waiting, now: number): void {
    if (job.isWaiting) return
    job.isWaiting = true
    job.since = now
    job.before = this.#last
    if (this.#last === undefined) this.#first = job
    else this.#last.after = job
    this.#last = job
  }

  end(job: Waiting): void {
    if (!job.isWaiting) return
    job.isWaiting = false
    if (job.before === undefined) this.#first = job.after
    else job.before.after = job.after
    if (job.after === undefined) this.#last = job.before
    else job.after.before = job.before
    job.before = undefined
    job.after = undefined
  }

  /** Since when; of several jobs of which one may be long, that of the second. */
  since(open: number): number | undefined {
    return open > 1 ? this.#first?.after?.since : this.#first?.since
  }
}
