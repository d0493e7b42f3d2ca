import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { BusyError } from '../../src/base/errors.ts'
import { lanesOf, slotsOf } from '../../src/engines/lanes.ts'
import { scheduled } from '../../src/engines/scheduler.ts'
import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'
import { chatJob, collect } from './llama/supervised.ts'

const components = { clock: systemClock }
const done: Chunk = {
  type: 'done',
  finish: ['stop'],
  usage: { inputTokens: 1, cachedTokens: 0, outputTokens: 1 },
}

function jobOf(id: string, cacheScope = 'scope', choices = 1): Job {
  const job = chatJob('hello', { id, cacheScope })
  if (job.work.kind === 'chat') job.work.sampling.choices = choices
  return job
}

/** An engine whose jobs end when the test says so, and that honours its signal. */
function manual() {
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const generate: Generate = async function* (job, { signal }) {
    started.push(job.id)
    const outcome = Promise.withResolvers<void>()
    ends.set(job.id, () => outcome.resolve())
    signal.addEventListener('abort', () => outcome.resolve(), { once: true })
    yield { type: 'accepted', inputTokens: 1 }
    await outcome.promise
    yield done
  }
  return { started, generate, end: (id: string) => ends.get(id)?.() }
}

/** Lets everything that can go on without the test go on. */
const quiet = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('scheduled', () => {
  it('runs as many as there are slots and queues the rest with their place', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const all = ['a', 'b', 'c'].map((id) => collect(generate, jobOf(id)))
    await quiet()
    expect(engine.started).toEqual(['a'])
    expect(generate.load()).toEqual({ slots: 1, running: 1, queued: 2, admitted: 1 })
    engine.end('a')
    await quiet()
    engine.end('b')
    await quiet()
    engine.end('c')
    const [a, b, c] = await Promise.all(all)
    expect(a?.map(queuedOf)).toEqual([undefined, undefined])
    expect(b?.map(queuedOf)).toEqual([1, 0, undefined, undefined])
    expect(c?.map(queuedOf)).toEqual([2, 1, 0, undefined, undefined])
  })

  it('lets scopes take turns', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const jobs = ['x1', 'x2', 'x3', 'x4', 'y1', 'y2', 'z1'].map((id) => jobOf(id, id[0]))
    const all = jobs.map((job) => collect(generate, job))
    for (const _ of jobs) {
      await quiet()
      engine.end(engine.started.at(-1) ?? '')
    }
    await Promise.all(all)
    expect(engine.started).toEqual(['x1', 'x2', 'y1', 'z1', 'x3', 'y2', 'x4'])
  })

  it('keeps nobody waiting behind a thousand jobs of another', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const many = Array.from({ length: 1000 }, (_, n) => collect(generate, jobOf(`a${n}`, 'a')))
    const refused = Promise.allSettled(many.slice(49))
    const one = collect(generate, jobOf('b', 'b'))
    await quiet()
    engine.end('a0')
    await quiet()
    engine.end('a1')
    await quiet()
    expect(engine.started).toEqual(['a0', 'a1', 'b'])
    engine.end('b')
    await one
    for (const { status } of await refused) expect(status).toBe('rejected')
    for (let n = 2; n < 49; n++) {
      await quiet()
      engine.end(`a${n}`)
    }
    await Promise.all(many.slice(0, 49))
  })

  it('lets those take turns whose jobs name whose turn it is, whatever cache they use', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const jobs = ['x1', 'x2', 'x3', 'y1', 'z1'].map((id) => ({
      ...jobOf(id, `account of ${id}`),
      ...(id.startsWith('x') ? { queueScope: 'one peer' } : {}),
    }))
    const all = jobs.map((job) => collect(generate, job))
    for (const _ of jobs) {
      await quiet()
      engine.end(engine.started.at(-1) ?? '')
    }
    await Promise.all(all)
    expect(engine.started).toEqual(['x1', 'x2', 'y1', 'z1', 'x3'])
  })

  it('tells each how many come before it, counting the turns of others', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const abort = new AbortController()
    const places: Record<string, number | undefined> = {}
    const all = ['run', 'x1', 'x2', 'x3', 'y1', 'y2', 'z1'].map(async (id) => {
      for await (const chunk of generate(jobOf(id, id[0]), abort)) places[id] = queuedOf(chunk)
    })
    await quiet()
    expect(places).toEqual({ run: undefined, x1: 1, y1: 2, z1: 3, x2: 4, y2: 5, x3: 6 })
    abort.abort()
    await Promise.all(all)
  })

  it('lets a wide job wait for all its lanes, and nobody overtake it', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 2 })
    const all = [jobOf('a'), jobOf('wide', 'scope', 9), jobOf('b')].map((job) =>
      collect(generate, job),
    )
    await quiet()
    expect(engine.started).toEqual(['a'])
    engine.end('a')
    await quiet()
    expect(engine.started).toEqual(['a', 'wide'])
    engine.end('wide')
    await quiet()
    engine.end('b')
    await Promise.all(all)
    expect(generate.load()).toMatchObject({ running: 0, queued: 0 })
  })

  it('keeps a scope to its share while others come by, however wide its jobs are', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 4 })
    const abort = new AbortController()
    const shared = (id: string, choices = 1) => ({ ...jobOf(id, 'new', choices), queueShare: 0.5 })
    const ask = (job: Job) => collect(generate, job, abort.signal)
    const all = [shared('new 1'), shared('new 2'), shared('new 3')].map(ask)
    await quiet()
    expect(engine.started).toEqual(['new 1', 'new 2'])
    all.push(ask(jobOf('a')), ask(jobOf('b')), ask(jobOf('c')))
    await quiet()
    expect(engine.started.slice(2)).toEqual(['a', 'b'])
    engine.end('new 1')
    await quiet()
    expect(engine.started.slice(4)).toEqual(['new 3'])
    engine.end('a')
    await quiet()
    expect(engine.started.slice(5)).toEqual(['c'])
    for (const id of ['new 2', 'new 3']) engine.end(id)
    await quiet()
    all.push(ask(shared('wide', 4)), ask(shared('new 4')), ask(jobOf('d')))
    await quiet()
    expect(engine.started.slice(6)).toEqual(['wide'])
    engine.end('b')
    await quiet()
    expect(engine.started.slice(7)).toEqual(['d'])
    abort.abort()
    await Promise.all(all)
    expect(generate.load()).toMatchObject({ running: 0, queued: 0 })
  })

  it('refuses what the queue has no place for, and says when to come back', async () => {
    const engine = manual()
    let now = 0
    const clock: Clock = { ...systemClock, elapsed: () => now }
    const generate = scheduled(engine.generate, { clock }, { slots: 1, queueMax: 3, scopeMax: 2 })
    const first = collect(generate, jobOf('first'))
    await quiet()
    now += 21_000
    engine.end('first')
    await first
    const abort = new AbortController()
    const admitted = ['a', 'b', 'c'].map((id) => collect(generate, jobOf(id), abort.signal))
    await expect(collect(generate, jobOf('d'))).rejects.toThrow('2 requests of this account')
    const other = collect(generate, jobOf('e', 'other'), abort.signal)
    const refused = collect(generate, jobOf('f', 'third'))
    await expect(refused).rejects.toThrow('The queue of this model is full (3 requests wait).')
    const error = await refused.catch((error: unknown) => error)
    expect(error).toBeInstanceOf(BusyError)
    // The mean has gone from 1 s to 5 s, and three wait.
    expect(error).toMatchObject({ code: 'overloaded', retryAfterMs: 15_000 })
    abort.abort()
    await Promise.all([...admitted, other])
    expect(generate.load()).toMatchObject({ running: 0, queued: 0 })
  })

  it('lets an aborted one leave the queue at once, though nobody reads it', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const running = collect(generate, jobOf('a'))
    const abort = new AbortController()
    const waiting = generate(jobOf('b'), abort)[Symbol.asyncIterator]()
    await waiting.next()
    expect(generate.load().queued).toBe(1)
    abort.abort()
    expect(generate.load().queued).toBe(0)
    expect((await waiting.next()).value).toMatchObject({ type: 'done', finish: ['cancelled'] })
    expect((await waiting.next()).done).toBe(true)
    engine.end('a')
    await running
    expect(engine.started).toEqual(['a'])
  })

  it('frees the slots before the last chunk is taken further', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    for await (const chunk of generate(jobOf('a'), new AbortController())) {
      engine.end('a')
      expect(generate.load().running).toBe(chunk.type === 'done' ? 0 : 1)
    }
  })

  it('takes more in when it is given more slots', async () => {
    const engine = manual()
    const generate = scheduled(engine.generate, components, { slots: 1 })
    const abort = new AbortController()
    const all = ['a', 'b', 'c'].map((id) => collect(generate, jobOf(id), abort.signal))
    await quiet()
    generate.resize(2)
    await quiet()
    expect(engine.started).toEqual(['a', 'b'])
    abort.abort()
    await Promise.all(all)
  })
})

type Step =
  | { do: 'ask'; scope: string; choices: number }
  | { do: 'end' | 'fail' | 'abort' | 'walk-away'; which: number }
  | { do: 'resize'; slots: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      scope: fc.constantFrom('x', 'y', 'z'),
      choices: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('end' as const, 'fail' as const, 'abort' as const, 'walk-away' as const),
      which: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resize' as const),
      slots: fc.integer({ min: 1, max: 6 }),
    }),
  },
)

const Z_SHARE = 0.4

it('keeps its promises whatever comes: slots, turns, and nothing leaks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const engine = new LaneCounter()
      const generate = scheduled(engine.generate, components, { queueMax: 8, scopeMax: 6 })
      const jobs: OpenJob[] = []
      let slotsMax = 4
      for (const [number, now] of steps.entries()) {
        if (now.do === 'ask') {
          const queueShare = now.scope === 'z' ? Z_SHARE : 1
          const job = { ...jobOf(String(number), now.scope, now.choices), queueShare }
          jobs.push(openJob(generate, job))
        } else if (now.do === 'resize') {
          generate.resize(now.slots)
          slotsMax = Math.max(slotsMax, now.slots)
        } else {
          const job = jobs[now.which % Math.max(1, jobs.length)]
          if (now.do === 'abort') job?.abort.abort()
          else if (now.do === 'walk-away') job?.walkAway()
          else if (job) engine.end(job.id, now.do === 'fail')
        }
        await quiet()
        const { running, queued, slots } = generate.load()
        // Jobs admitted before a shrink may go on, so the most there ever were is the bound.
        expect(engine.lanes(slots)).toBeLessThanOrEqual(slotsMax)
        const ofZ = engine.lanes(slots, ({ cacheScope }) => cacheScope === 'z')
        expect(ofZ).toBeLessThanOrEqual(slotsOf(slotsMax, Z_SHARE))
        expect(running).toBe(engine.running)
        expect(queued).toBeLessThanOrEqual(8)
        // Whoever waits does so for a reason: there is always somebody running.
        if (queued > 0) expect(running).toBeGreaterThan(0)
      }
      for (let left = jobs.length; left > 0; left--) {
        engine.endAll()
        await quiet()
      }
      await Promise.all(jobs.map((job) => job.finished))
      expect(generate.load()).toMatchObject({ running: 0, queued: 0 })
      expect(jobs.every((job) => job.ended)).toBe(true)
    }),
    { numRuns: 150, verbose: true },
  )
})

/** Counts the lanes that run, and lets the test end them. */
class LaneCounter {
  readonly #open = new Map<string, { job: Job; end: (fail: boolean) => void }>()

  generate: Generate = (job, options) => this.#run(job, options.signal)

  async *#run(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    const outcome = Promise.withResolvers<void>()
    const end = (fail: boolean) => {
      this.#open.delete(job.id)
      if (fail) outcome.reject(new Error('a job failed'))
      else outcome.resolve()
    }
    this.#open.set(job.id, { job, end })
    signal.addEventListener('abort', () => end(false), { once: true })
    if (signal.aborted) end(false)
    await outcome.promise
    yield done
  }

  get running(): number {
    return this.#open.size
  }

  lanes(slots: number, among: (job: Job) => boolean = () => true): number {
    return [...this.#open.values()]
      .filter(({ job }) => among(job))
      .reduce(
        (sum, { job }) => sum + Math.min(lanesOf(job.work), slotsOf(slots, job.queueShare)),
        0,
      )
  }

  end(id: string, fail: boolean): void {
    this.#open.get(id)?.end(fail)
  }

  endAll(): void {
    for (const { end } of this.#open.values()) end(false)
  }
}

interface OpenJob {
  id: string
  abort: AbortController
  finished: Promise<void>
  ended: boolean
  walkAway(): void
}

function openJob(generate: Generate, job: Job): OpenJob {
  const abort = new AbortController()
  let leave = false
  const open: OpenJob = {
    id: job.id,
    abort,
    ended: false,
    finished: Promise.resolve(),
    walkAway() {
      leave = true
      abort.abort()
    },
  }
  const read = async () => {
    try {
      for await (const _ of generate(job, abort)) if (leave) break
    } catch {
      // Refused, or failed on purpose.
    }
    open.ended = true
  }
  open.finished = read()
  return open
}

function queuedOf(chunk: Chunk): number | undefined {
  return chunk.type === 'progress' ? chunk.queued : undefined
}
