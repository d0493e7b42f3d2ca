import { describe, expect, it } from 'vitest'
import { patient } from '../../src/api/openai/patience.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'

/** Time that passes when the test says so. */
class ManualClock implements Clock {
  timers = new Map<() => void, number>()
  armed = 0
  #now = 0

  now = () => this.#now
  elapsed = () => this.#now
  after(ms: number, task: () => void): () => void {
    this.armed++
    this.timers.set(task, this.#now + ms)
    return () => this.timers.delete(task)
  }
  sleep(): Promise<void> {
    throw new Error('nobody sleeps here')
  }
  pass(ms: number): void {
    this.#now += ms
    for (const [task, at] of [...this.timers]) {
      if (at > this.#now || !this.timers.delete(task)) continue
      task()
    }
  }
}

const job: Job = {
  id: 'job_1',
  model: 'm',
  work: { kind: 'embedding', inputs: ['a'] },
  cacheScope: 'acct_1',
}
const options = { firstByteMs: 1000, idleMs: 100 }
const token: Chunk = { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'a' }
const progress: Chunk = { type: 'progress', queued: 1, prefilled: 0, total: 1 }

/** A Generate whose chunks come when the test hands them in. */
function handed() {
  const waiting: ((chunk: Chunk) => void)[] = []
  let signal: AbortSignal | undefined
  const generate: Generate = async function* (_job, given) {
    signal = given.signal
    for (;;) yield await new Promise<Chunk>((resolve) => waiting.push(resolve))
  }
  const give = (chunk: Chunk) => waiting.shift()?.(chunk)
  return { generate, give, aborted: () => signal?.aborted }
}

function run() {
  const clock = new ManualClock()
  const { generate, give, aborted } = handed()
  const { signal } = new AbortController()
  const chunks = patient(generate, { clock }, options)(job, { signal })[Symbol.asyncIterator]()
  const next = (chunk: Chunk) => {
    const wait = chunks.next()
    give(chunk)
    return wait
  }
  return { clock, chunks, next, give, aborted }
}

describe('a patient Generate', () => {
  it('counts everything before the first token as one wait', async () => {
    const { clock, chunks, next, aborted } = run()
    for (let n = 0; n < 9; n++) {
      await next(progress)
      clock.pass(100)
    }
    const wait = chunks.next()
    clock.pass(99)
    expect(aborted()).toBe(false)
    clock.pass(1)
    await expect(wait).rejects.toMatchObject({ code: 'first_byte_timeout' })
    expect(aborted()).toBe(true)
    expect(clock.timers.size).toBe(0)
  })

  it('counts from chunk to chunk after it', async () => {
    const { clock, chunks, next, aborted } = run()
    for (let n = 0; n < 50; n++) {
      await next(token)
      clock.pass(99)
    }
    const wait = chunks.next()
    clock.pass(100)
    await expect(wait).rejects.toMatchObject({ code: 'deadline_exceeded' })
    expect(aborted()).toBe(true)
  })

  it('does not count while its reader is the one that waits', async () => {
    const { clock, chunks, next } = run()
    await next(token)
    await next(token)
    clock.pass(10_000)
    expect(await next(token)).toEqual({ done: false, value: token })
    const wait = chunks.next()
    clock.pass(100)
    await expect(wait).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })

  it('arms few timers for many chunks', async () => {
    const { clock, next } = run()
    for (let n = 0; n < 1000; n++) {
      await next(token)
      clock.pass(1)
    }
    expect(clock.armed).toBeLessThan(20)
  })

  it('stops the work when its reader stops reading', async () => {
    const { clock, chunks, next, aborted } = run()
    await next(token)
    await chunks.return?.()
    expect(aborted()).toBe(true)
    expect(clock.timers.size).toBe(0)
  })
})
