import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { modelLoad } from '../../src/engines/advert-facts.ts'
import { Catalog } from '../../src/engines/catalog.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import { engineLauncher } from '../../src/engines/llama/child-process.ts'
import type { ResidenceOptions } from '../../src/engines/residence.ts'
import { chatJob, collect, scriptedChild, textOf } from './llama/supervised.ts'

const folder = mkdtempSync(join(tmpdir(), 'pinaivu-'))

/** A thousand bytes each: what it is reckoned to take, as its process does not say. */
function models(...names: string[]) {
  return names.map((name) => {
    const path = join(folder, `good-${name}`)
    writeFileSync(path, Buffer.alloc(1000))
    return { name, path, demo: false, id: `cid:${name}` }
  })
}

const nothing = { get: async () => undefined, put: async () => {} }

async function open(names: string[], residence: ResidenceOptions) {
  const clock = systemClock
  const logger = silentLogger
  const launch = engineLauncher({ clock, logger }, { env: process.env, entry: scriptedChild })
  const catalog = new Catalog(
    { launch, calibrations: nothing, modelIds: nothing, clock, logger, metrics: noMetrics },
    { models: models(...names), residence, idleMs: 60_000 },
  )
  await catalog.start({ signal: new AbortController().signal })
  const state = (name: string) => {
    const { state, unloaded } = catalog.resolve(name) as ModelStatus
    return unloaded === true ? 'unloaded' : state
  }
  const until = (name: string, wanted: string) =>
    new Promise<void>((resolve) => {
      const end = catalog.onChange(() => look())
      const look = () => {
        if (state(name) !== wanted) return
        end()
        resolve()
      }
      look()
    })
  const ask = async (model: string, text = 'answer', signal?: AbortSignal) =>
    textOf(await collect(catalog.generate, chatJob(text, { model }), signal))
  return { catalog, state, until, ask, [Symbol.asyncDispose]: () => catalog.stop() }
}

describe('models that have no room beside each other', () => {
  it('take turns: the one used longest ago goes', async () => {
    await using it = await open(['a', 'b', 'c'], { memoryBytes: 2500 })
    await it.until('c', 'ready')
    expect(['a', 'b', 'c'].map(it.state)).toEqual(['unloaded', 'ready', 'ready'])
    expect(await it.ask('b')).toBe('ab')
    expect(await it.ask('a')).toBe('ab')
    expect(['a', 'b', 'c'].map(it.state)).toEqual(['ready', 'ready', 'unloaded'])
    // Others may ask for it: it is loaded by that.
    expect(modelLoad(it.catalog.resolve('c') as ModelStatus)).toMatchObject({ ready: true })
  })

  it('let what runs end', async () => {
    await using it = await open(['a', 'b'], { memoryBytes: 1500 })
    await it.until('b', 'ready')
    const abort = new AbortController()
    const long = it.ask('b', 'wait', abort.signal)
    const other = it.ask('a')
    // Not before the long one has ended.
    expect(await Promise.race([other, Promise.resolve('neither')])).toBe('neither')
    expect(it.state('b')).toBe('ready')
    abort.abort()
    expect(await long).toBe('a')
    expect(await Promise.all([other, it.ask('b')])).toEqual(['ab', 'ab'])
  })

  it('get their turn although another is asked without a pause', async () => {
    await using it = await open(['a', 'b'], { memoryBytes: 1500 })
    await it.until('b', 'ready')
    let isOver = false
    // Two that overlap: the model they ask is never at rest.
    const busy = [1, 2].map(async () => {
      while (!isOver) expect(await it.ask('b')).toBe('ab')
    })
    expect(await it.ask('a')).toBe('ab')
    isOver = true
    await Promise.all(busy)
  })

  it('come and go as often as they are asked for', async () => {
    await using it = await open(['a', 'b', 'c'], { memoryBytes: 1500 })
    await it.until('c', 'ready')
    const order = ['a', 'c', 'b', 'a', 'b', 'c', 'a', 'a']
    const answers = await Promise.all(order.map((name) => it.ask(name)))
    expect(answers).toEqual(order.map(() => 'ab'))
  })
})

describe('a model that nobody asks for', () => {
  it('is unloaded, and loaded again by a request', async () => {
    await using it = await open(['a'], { idleMs: 30 })
    await it.until('a', 'unloaded')
    expect(await it.ask('a')).toBe('ab')
    await it.until('a', 'unloaded')
  })

  it('is not unloaded while it is at work', async () => {
    await using it = await open(['a'], { idleMs: 20 })
    const abort = new AbortController()
    const long = it.ask('a', 'wait', abort.signal)
    await it.until('a', 'ready')
    await systemClock.sleep(100, new AbortController().signal)
    expect(it.state('a')).toBe('ready')
    abort.abort()
    expect(await long).toBe('a')
    await it.until('a', 'unloaded')
  })

  it('does not keep the peer from stopping', async () => {
    const it = await open(['a', 'b'], { memoryBytes: 1500, idleMs: 10 })
    const asked = it.ask('b').catch((error: unknown) => error)
    await it.catalog.stop()
    expect(await asked).toMatchObject({ code: 'shutting_down' })
  })
})
