import type { Clock } from './base/clock.ts'
import { isAbort } from './base/errors.ts'
import type { Service } from './base/lifecycle.ts'
import type { Logger } from './base/logger.ts'
import { gpu } from './doctor/gpu.ts'
import { readGraphics } from './doctor/graphics.ts'
import type { Engine } from './engines/engine.ts'
import { probeEngine } from './engines/llama/probe.ts'

export interface UnusedGpuComponents {
  engine: Pick<Engine, 'onChange' | 'hardware'>
  clock: Clock
  logger: Logger
  env: Readonly<Record<string, string | undefined>>
  /** Where the file system begins; another one in tests. */
  root?: string
}

/** For the driver to answer, and for llama.cpp to start once more. */
const LOOK_MS = 10_000

/**
 * Says it as an error, with its cause, where models are computed by the processor although there is a card:
 * many times slower, and nobody would see why.
 */
export class UnusedGpu implements Service {
  readonly #components: UnusedGpuComponents
  readonly #logger: Logger
  readonly #end = new AbortController()
  #unlisten: (() => void) | undefined
  #looking: Promise<void> | undefined

  constructor(components: UnusedGpuComponents) {
    this.#components = components
    this.#logger = components.logger.child('gpu')
  }

  async start(): Promise<void> {
    const { engine } = this.#components
    this.#unlisten = engine.onChange(({ state }) => {
      if (state === 'ready') this.#looking ??= this.#look()
    })
  }

  /** Once it has said what there is to say. */
  async settled(): Promise<void> {
    await this.#looking
  }

  async stop(): Promise<void> {
    this.#unlisten?.()
    this.#end.abort()
    await this.#looking
  }

  async #look(): Promise<void> {
    const { engine, env, clock, root } = this.#components
    if (engine.hardware().backend !== 'cpu') return
    const { signal } = this.#end
    const late = new AbortController()
    const cancel = clock.after(LOOK_MS, () => late.abort())
    const soon = AbortSignal.any([signal, late.signal])
    try {
      const there = await readGraphics({ env, root, ms: LOOK_MS, signal: soon })
      if (there.makers.length === 0) return
      const probe = await probeEngine({ env, models: [], signal: soon })
      const { verdict, code, cause, next = '' } = gpu({ backend: 'cpu', cards: [] }, there, probe)
      if (verdict !== 'ok') this.#logger.error(`${cause} ${next}`.trim(), { code })
    } catch (error) {
      if (!isAbort(error)) this.#logger.warn('cannot look for graphics cards', { error })
    } finally {
      cancel()
    }
  }
}
