import { availableParallelism, cpus } from 'node:os'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { fileIdentity } from './model-store.ts'
import type { RememberedCalibration, ServedModel } from './served-model.ts'

/** Where results outlive the process. */
export interface CalibrationStore {
  get(key: string): Promise<RememberedCalibration | undefined>
  put(key: string, value: RememberedCalibration): Promise<void>
}

export interface CalibratorComponents {
  store: CalibrationStore
  clock: Clock
  logger: Logger
}

export interface CalibratorOptions {
  /** The whole machine must have been idle for so long: measuring takes all of it. */
  idleMs: number
}

/** Finds out, when nobody needs the machine, how many lanes and threads suit each model. */
export class Calibrator {
  readonly #components: CalibratorComponents
  readonly #models: readonly ServedModel[]
  readonly #idleMs: number

  constructor(
    components: CalibratorComponents,
    models: readonly ServedModel[],
    options: CalibratorOptions,
  ) {
    this.#components = components
    this.#models = models
    this.#idleMs = options.idleMs
  }

  /** Before the model is loaded: what an earlier process found out. */
  async recall(model: ServedModel): Promise<void> {
    try {
      const remembered = await this.#components.store.get(await keyOf(model))
      if (remembered) model.useCalibration(remembered)
    } catch (error) {
      // The model may be served without; if its file cannot be read, loading will say so better.
      this.#components.logger.warn('calibration cannot be read', { model: model.name, error })
    }
  }

  /** Measures each model that needs it, one after the other. */
  async run(signal: AbortSignal): Promise<void> {
    for (const model of this.#models) {
      while (!signal.aborted && model.needsCalibration) {
        await this.#idle(signal)
        if (!signal.aborted && model.needsCalibration) await this.#calibrate(model)
      }
    }
  }

  async #calibrate(model: ServedModel): Promise<void> {
    const { store, logger } = this.#components
    const result = await model.calibrate()
    if (result === undefined) return
    logger.info('calibrated', { model: model.name, ...result })
    try {
      await store.put(await keyOf(model), result)
    } catch (error) {
      logger.warn('calibration cannot be kept', { model: model.name, error })
    }
  }

  async #idle(signal: AbortSignal): Promise<void> {
    for (;;) {
      const before = this.#admitted()
      await this.#components.clock.sleep(this.#idleMs, signal).catch(() => {})
      if (signal.aborted || (!this.#busy() && this.#admitted() === before)) return
    }
  }

  #busy(): boolean {
    return this.#models.some(({ load }) => load.running > 0 || load.queued > 0)
  }

  #admitted(): number {
    return this.#models.reduce((sum, { load }) => sum + load.admitted, 0)
  }
}

/** The file, and the processor as far as it can be told before the model is loaded. */
async function keyOf(model: ServedModel): Promise<string> {
  const processor = `${cpus()[0]?.model ?? 'unknown'} x${availableParallelism()}`
  return `${await fileIdentity(model.path)} ${processor} ${model.fixed}`
}
