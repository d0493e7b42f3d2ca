import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { Catalog, type CatalogOptions } from '../../src/engines/catalog.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import { engineLauncher } from '../../src/engines/llama/child-process.ts'
import type { RememberedCalibration } from '../../src/engines/served-model.ts'
import { chatJob, collect, scriptedChild, textOf } from './llama/supervised.ts'

const folder = mkdtempSync(join(tmpdir(), 'pinaivu-'))

/** A file whose name is the script of loading it. */
function modelFile(name: string, script = 'good', content = 'GGUF') {
  const path = join(folder, script)
  writeFileSync(path, content)
  return { name, path, demo: false }
}

class MemoryRows<T> {
  readonly kept = new Map<string, T>()
  async put(key: string, value: T): Promise<void> {
    this.kept.set(key, value)
  }
  async get(key: string): Promise<T | undefined> {
    return this.kept.get(key)
  }
}

/** Counts how often somebody looked whether the machine is idle. */
class CountedSleeps implements Clock {
  sleeps = 0
  readonly now = systemClock.now
  readonly elapsed = systemClock.elapsed
  readonly after = systemClock.after
  readonly #waiting: [count: number, resolve: () => void][] = []

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps++
    for (const [count, resolve] of this.#waiting) if (this.sleeps >= count) resolve()
    return systemClock.sleep(ms, signal)
  }

  reached(count: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push([count, resolve]))
  }
}

const never = new AbortController().signal

function open(
  options: Pick<CatalogOptions, 'models'> & Partial<CatalogOptions>,
  calibrations = new MemoryRows<RememberedCalibration>(),
  modelIds = new MemoryRows<string>(),
) {
  const clock = new CountedSleeps()
  const launch = engineLauncher(
    { clock, logger: silentLogger },
    { env: process.env, entry: scriptedChild },
  )
  const catalog = new Catalog(
    { launch, calibrations, modelIds, clock, logger: silentLogger, metrics: noMetrics },
    { idleMs: 60_000, ...options },
  )
  return {
    catalog,
    clock,
    /** Resolves with the first status, now or later, that fits. */
    until: (fits: (status: ModelStatus) => boolean) => until(catalog, fits),
    [Symbol.asyncDispose]: () => catalog.stop(),
  }
}

function until(catalog: Catalog, fits: (status: ModelStatus) => boolean): Promise<ModelStatus> {
  return new Promise((resolve) => {
    const now = catalog.status().find(fits)
    if (now) resolve(now)
    const end = catalog.onChange((status) => {
      if (!fits(status)) return
      end()
      resolve(status)
    })
  })
}

describe('the catalog', () => {
  it('loads one model after the other, and tells each change', async () => {
    await using it = open({ models: [modelFile('a'), modelFile('b', 'crash'), modelFile('c')] })
    const changes = new Set<string>()
    it.catalog.onChange(({ name, state }) => changes.add(`${name} ${state}`))
    expect(it.catalog.status().map(({ state }) => state)).toEqual(['waiting', 'waiting', 'waiting'])
    await it.catalog.start({ signal: never })
    await it.until(({ name, state }) => name === 'c' && state === 'ready')
    expect([...changes]).toEqual([
      'a loading',
      'a ready',
      'b loading',
      'b failed',
      'c loading',
      'c ready',
    ])
    const [a, b] = it.catalog.status()
    expect(a).toMatchObject({ slots: 4, threads: 1, running: 0, queued: 0, demo: false })
    expect(b?.error?.code).toBe('model_crashes_engine')
  })

  it('answers under a name, a model that loads meanwhile too', async () => {
    await using it = open({
      models: [modelFile('a'), modelFile('Llama-3.2-3B-Instruct-Q4_K_M')],
    })
    await it.catalog.start({ signal: never })
    for (const model of ['a', 'Llama-3.2-3B-Instruct-Q4_K_M']) {
      const chunks = await collect(it.catalog.generate, chatJob('answer', { model }))
      expect(textOf(chunks)).toBe('ab')
    }
    expect(it.catalog.resolve('A')).toBeUndefined()
    expect(it.catalog.resolve('constructor')).toBeUndefined()
  })

  it('knows the names other products use for a file', () => {
    const models = [modelFile('mine', 'Llama-3.2-3B-Instruct-Q4_K_M.gguf')]
    const { catalog } = open({ models })
    expect(catalog.resolve('llama3.2:3b')?.name).toBe('mine')
  })

  it('says what is wrong with a model it does not have, or could not load', async () => {
    await using it = open({ models: [modelFile('bad', 'refuse')] })
    await it.catalog.start({ signal: never })
    await expect(collect(it.catalog.generate, chatJob('', { model: 'x' }))).rejects.toMatchObject({
      code: 'model_not_found',
      param: 'model',
    })
    await it.until(({ state }) => state === 'failed')
    await expect(collect(it.catalog.generate, chatJob('', { model: 'bad' }))).rejects.toMatchObject(
      { code: 'model_failed', param: 'model', message: /too old/ },
    )
  })

  it('counts what runs and what waits', async () => {
    await using it = open({ models: [modelFile('a')], slots: 1 })
    const abort = new AbortController()
    const both = [1, 2].map(() =>
      collect(it.catalog.generate, chatJob('wait', { model: 'a' }), abort.signal),
    )
    expect(it.catalog.resolve('a')).toMatchObject({ running: 1, queued: 1 })
    abort.abort()
    await Promise.all(both)
    expect(it.catalog.resolve('a')).toMatchObject({ running: 0, queued: 0 })
  })

  it('tells each change of what runs and what waits', async () => {
    await using it = open({ models: [modelFile('a')], slots: 1 })
    const loads: string[] = []
    const end = it.catalog.onLoad(({ name, running, queued }) => {
      loads.push(`${name} ${running} ${queued}`)
    })
    const abort = new AbortController()
    const first = collect(it.catalog.generate, chatJob('wait', { model: 'a' }), abort.signal)
    const second = collect(it.catalog.generate, chatJob('answer', { model: 'a' }))
    expect(loads).toEqual(['a 1 0', 'a 1 1'])
    await it.catalog.start({ signal: never })
    abort.abort()
    await Promise.all([first, second])
    expect(loads.slice(-2)).toEqual(['a 1 0', 'a 0 0'])
    end()
    await collect(it.catalog.generate, chatJob('answer', { model: 'a' }))
    expect(loads.at(-1)).toBe('a 0 0')
    expect(it.catalog.hardware()).toMatchObject({ gpus: [], backend: 'cpu' })
  })

  it('finds out what each model is by its file, and knows it at the next start', async () => {
    const modelIds = new MemoryRows<string>()
    const models = [
      { ...modelFile('a'), demo: true },
      modelFile('b', 'refuse', 'GGUF, damaged'),
      modelFile('c', 'another', 'GGUF, other weights'),
    ]
    {
      await using it = open({ models }, undefined, modelIds)
      await it.catalog.start({ signal: never })
      const found = await it.until(({ name, id }) => name === 'c' && id !== undefined)
      expect(found).toMatchObject({ state: 'ready', id: expect.stringMatching(/^cid:bafkrei/) })
      expect(it.catalog.resolve('a')?.id).toMatch(/^cid:bafkrei/)
      expect(it.catalog.resolve('a')?.id).not.toBe(found.id)
      expect(it.catalog.resolve('b')).not.toHaveProperty('id')
    }
    await using it = open({ models }, undefined, modelIds)
    await it.catalog.start({ signal: never })
    const known = await it.until(({ name, id }) => name === 'c' && id !== undefined)
    expect(known.state).toBe('waiting')
  })

  it('ends everything when it stops, in the middle of loading too', async () => {
    const it = open({ models: [modelFile('slow', 'hang'), modelFile('b')] })
    const waiting = collect(it.catalog.generate, chatJob('answer', { model: 'slow' }))
    waiting.catch(() => {})
    await it.catalog.start({ signal: never })
    await it.until(({ state }) => state === 'loading')
    await it.catalog.stop()
    await it.catalog.stop()
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' })
  })
})

describe('calibration', () => {
  it('is done when the machine is idle, applied, and remembered for the next start', async () => {
    const calibrations = new MemoryRows<RememberedCalibration>()
    const models = [modelFile('a')]
    {
      await using it = open({ models, idleMs: 1 }, calibrations)
      await it.catalog.start({ signal: never })
      await it.until(({ slots }) => slots === 2)
    }
    expect([...calibrations.kept.values()]).toMatchObject([{ slots: 2, threads: 1, gpu: [] }])
    await using it = open({ models }, calibrations)
    await it.catalog.start({ signal: never })
    expect(await it.until(({ state }) => state === 'ready')).toMatchObject({ slots: 2 })
  })

  it('waits until nothing runs', async () => {
    await using it = open({ models: [modelFile('a'), modelFile('b')], idleMs: 1 })
    const abort = new AbortController()
    const running = collect(it.catalog.generate, chatJob('wait', { model: 'b' }), abort.signal)
    await it.catalog.start({ signal: never })
    await it.until(({ name, state }) => name === 'b' && state === 'ready')
    await it.clock.reached(it.clock.sleeps + 5)
    expect(it.catalog.status().map(({ slots }) => slots)).toEqual([4, 4])
    abort.abort()
    await running
    await it.until(({ name, slots }) => name === 'b' && slots === 2)
  })

  it('is forgotten when it was measured with other graphics cards', async () => {
    const calibrations = new MemoryRows<RememberedCalibration>()
    const stale = { slots: 1, threads: 2, measured: [], gpu: ['another card'] }
    vi.spyOn(calibrations, 'get').mockResolvedValue(stale)
    await using it = open({ models: [modelFile('a')] }, calibrations)
    const states: string[] = []
    it.catalog.onChange(({ state, slots }) => states.push(`${state} ${slots}`))
    await it.catalog.start({ signal: never })
    await it.until(({ state, slots }) => state === 'ready' && slots === 4)
    expect(states.at(-1)).toBe('ready 4')
  })

  it('does not touch what the user fixed', async () => {
    const calibrations = new MemoryRows<RememberedCalibration>()
    const models = [modelFile('a')]
    await using it = open({ models, idleMs: 1, slots: 3, threads: 5 }, calibrations)
    await it.catalog.start({ signal: never })
    await it.until(({ threads }) => threads === 5)
    expect(it.catalog.resolve('a')).toMatchObject({ slots: 3, threads: 5 })
    await vi.waitFor(() => {
      expect([...calibrations.kept.values()]).toMatchObject([{ slots: 3, threads: 5 }])
    })
  })

  it('is not done where nothing is to differ by what was measured', async () => {
    await using it = open({ models: [modelFile('a')], idleMs: 1, reproducible: true })
    await it.catalog.start({ signal: never })
    await collect(it.catalog.generate, chatJob('answer', { model: 'a' }))
    expect(it.clock.sleeps).toBe(0)
  })
})
