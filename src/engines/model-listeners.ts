import type { ModelStatus } from './engine.ts'

type Listener = (status: ModelStatus) => void

/** Who wants to know what becomes of models. */
export class ModelListeners {
  readonly #all = new Set<Listener>()

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  /** Until the returned function is called. */
  add(listener: Listener): () => void {
    this.#all.add(listener)
    return () => void this.#all.delete(listener)
  }

  tell(status: ModelStatus): void {
    for (const listener of this.#all) listener(status)
  }
}
