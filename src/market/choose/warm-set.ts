import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'

/** Peers of each model: enough that one of them is free and near. */
const PEERS_PER_MODEL = 8
/** Models of which providers are kept warm; those beyond are opened when they are asked for. */
const MODELS_MAX = 8
/** Likely providers change slowly; each change opens and closes streams. */
const REFRESH_MS = 5_000
/** A person who reads an answer asks again within this time. */
const IN_USE_MS = 10 * 60_000

interface Use {
  peerIds: string[]
  chosenAt: number
  usedAt: number
}

/** Keeps connections to the likely providers of the models in use. */
export class WarmSet {
  readonly #clock: Clock
  readonly #watch: (peerIds: readonly string[]) => void
  readonly #uses = new LruMap<string, Use>(MODELS_MAX)
  #cancelSweep: (() => void) | undefined

  constructor({ clock, watch }: { clock: Clock; watch: (peerIds: readonly string[]) => void }) {
    this.#clock = clock
    this.#watch = watch
  }

  /** A request for this model came, and these could serve it, the likeliest first. */
  used(modelId: string, ranked: readonly { candidate: { peerId: string } }[]): void {
    const now = this.#clock.elapsed()
    this.#cancelSweep ??= this.#clock.after(IN_USE_MS, () => this.#sweep())
    const use = this.#uses.get(modelId)
    if (use !== undefined) use.usedAt = now
    if (use !== undefined && now - use.chosenAt < REFRESH_MS) return
    const peerIds = ranked.slice(0, PEERS_PER_MODEL).map(({ candidate }) => candidate.peerId)
    this.#uses.set(modelId, { peerIds, chosenAt: now, usedAt: now })
    this.#tell()
  }

  stop(): void {
    this.#cancelSweep?.()
  }

  #sweep(): void {
    this.#cancelSweep = undefined
    const now = this.#clock.elapsed()
    for (const [modelId, { usedAt }] of this.#uses.entries()) {
      if (now - usedAt >= IN_USE_MS) this.#uses.delete(modelId)
    }
    if (this.#uses.size > 0) this.#cancelSweep = this.#clock.after(IN_USE_MS, () => this.#sweep())
    this.#tell()
  }

  #tell(): void {
    // The model that was asked for last comes first.
    const wanted = this.#uses
      .entries()
      .toReversed()
      .flatMap(([, { peerIds }]) => peerIds)
    this.#watch([...new Set(wanted)])
  }
}
