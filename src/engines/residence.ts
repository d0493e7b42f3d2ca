import { bytesText } from '../base/bytes-text.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { ServedModel } from './served-model.ts'

export interface ResidenceOptions {
  /** For all loaded models together. Undefined: no limit but the machine's. */
  memoryBytes?: number | undefined
  /** A model that nobody has asked for so long is unloaded. Undefined: never. */
  idleMs?: number | undefined
}

const LOOK_AGAIN_MS = 100

/**
 * Which models are in memory. One that was unloaded is loaded again by the next request, which waits; where
 * there is no room for it, the one that was used longest ago goes, once what it is at has ended.
 */
export class Residence {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #models: readonly ServedModel[]
  readonly #options: ResidenceOptions
  readonly #usedAt = new Map<ServedModel, number>()
  readonly #timers = new Map<ServedModel, () => void>()
  readonly #wanted = new Set<ServedModel>()
  /** One model comes or goes at a time: room that two have counted on is room for neither. */
  #turn: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(
    { clock, logger }: { clock: Clock; logger: Logger },
    models: readonly ServedModel[],
    options: ResidenceOptions,
  ) {
    this.#clock = clock
    this.#logger = logger
    this.#models = models
    this.#options = options
  }

  /** A first load; resolves once it is ready or failed. */
  load(model: ServedModel, signal: AbortSignal): Promise<void> {
    return this.#inTurn(() => this.#bring(model, signal))
  }

  /** Somebody asks for it. */
  want(model: ServedModel, signal: AbortSignal): void {
    this.used(model)
    if (!model.isUnloaded || this.#wanted.has(model) || this.#stopped) return
    this.#wanted.add(model)
    void this.#inTurn(async () => {
      this.#wanted.delete(model)
      await this.#bring(model, signal)
    })
  }

  /** What it runs has changed. */
  used(model: ServedModel): void {
    this.#usedAt.set(model, this.#clock.elapsed())
    this.#rest(model)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const cancel of this.#timers.values()) cancel()
    await this.#turn
  }

  #inTurn(step: () => Promise<unknown>): Promise<void> {
    const mine = this.#turn.then(step)
    this.#turn = mine.then(
      () => {},
      (error: unknown) => this.#logger.error('a model could not be loaded or unloaded', { error }),
    )
    return this.#turn
  }

  async #bring(model: ServedModel, signal: AbortSignal): Promise<void> {
    if (this.#stopped || signal.aborted) return
    await this.#makeRoom(model, signal)
    if (this.#stopped || signal.aborted) return
    this.used(model)
    model.start()
    await model.settled(signal)
    // Only now is it known what it takes.
    await this.#makeRoom(model, signal)
    this.#rest(model)
  }

  /** It begins to be idle, as far as can be told. */
  #rest(model: ServedModel): void {
    const { idleMs } = this.#options
    if (idleMs === undefined || this.#stopped) return
    this.#timers.get(model)?.()
    const cancel = this.#clock.after(idleMs, () => {
      // It may have been used before its turn comes.
      const isStill = () => this.#timers.get(model) === cancel
      void this.#inTurn(async () => isStill() && this.#leaveIfIdle(model))
    })
    this.#timers.set(model, cancel)
  }

  /** Lets others go until this one fits. One that does not fit alone says so when it is loaded. */
  async #makeRoom(model: ServedModel, signal: AbortSignal): Promise<void> {
    const { memoryBytes } = this.#options
    if (memoryBytes === undefined) return
    const needs = await model.memoryBytes()
    for (;;) {
      const others = this.#models.filter((each) => each !== model && each.isLoaded)
      const sizes = await Promise.all(others.map((each) => each.memoryBytes()))
      const used = sizes.reduce((sum, size) => sum + size, 0)
      const [victim] = others.toSorted((a, b) => this.#rank(a) - this.#rank(b))
      if (used + needs <= memoryBytes || victim === undefined || signal.aborted) return
      await this.#unload(victim, `${model.name} needs ${bytesText(needs)}`, signal)
      // Its process has just died, and comes back.
      if (victim.isLoaded) await this.#clock.sleep(LOOK_AGAIN_MS, signal).catch(() => {})
    }
  }

  /** Low for those that go first: at rest, and used longest ago. */
  #rank(model: ServedModel): number {
    const { running, queued } = model.load
    const busy = running + queued > 0 ? Number.MAX_SAFE_INTEGER / 2 : 0
    return busy + (this.#usedAt.get(model) ?? 0)
  }

  async #leaveIfIdle(model: ServedModel): Promise<void> {
    const { running, queued } = model.load
    if (this.#stopped || !model.isReady || running + queued > 0) return
    await this.#unload(model, 'nobody asks for it')
  }

  async #unload(model: ServedModel, why: string, signal?: AbortSignal): Promise<void> {
    this.#logger.info('model is unloaded', { name: model.name, why })
    await model.unload(signal)
    // Requests that came meanwhile had been told to wait for it.
    if (model.load.running > 0 && signal !== undefined) this.want(model, signal)
  }
}
