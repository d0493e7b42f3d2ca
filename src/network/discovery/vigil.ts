import type { Clock } from '../../base/clock.ts'
import type { Directory } from './directory.ts'
import type { Prober } from './prober.ts'
import type { Roster } from './roster.ts'

const TICK_MS = 1_000
/** A peer that is watched says something every 5 s: this is two words lost. */
const SILENCE_MS = 12_000
/** Where there are more peers than connections, dialling them all in turn would be all we do. */
const DIALS_PER_TICK = 4

/** So that of two that last heard of each other at the same time one pings, and the other is pinged. */
const COURTESY_MS = TICK_MS

export interface VigilComponents {
  /** This peer's own id. */
  self: string
  directory: Directory
  roster: Roster
  prober: Prober
  clock: Clock
}

/**
 * Looks after the age of what is known. Who was silent for SILENCE_MS is asked, and who was not
 * heard of at all leaves when its evidence is too old: a peer that freezes, or whose cable is
 * pulled, is gone from the directory within 30 s, however many go at once.
 */
export class Vigil {
  readonly #components: VigilComponents
  /** The end of the last time in which this process itself stood still. */
  #awakeAt = Number.NEGATIVE_INFINITY

  constructor(components: VigilComponents) {
    this.#components = components
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#components
    for (;;) {
      const before = clock.elapsed()
      await clock.sleep(TICK_MS, signal)
      if (clock.elapsed() - before < 2 * TICK_MS) this.#look()
      // What came in while this process itself stood still is to be read first.
      else this.#awakeAt = clock.elapsed()
    }
  }

  #look(): void {
    const { directory, roster, prober, clock, self } = this.#components
    let dials = DIALS_PER_TICK
    for (const entry of directory.all()) {
      // Nobody is to blame for what could not be heard: whoever was listed then is asked first.
      const heardAt = Math.max(entry.heardAt, this.#awakeAt - SILENCE_MS)
      const quietMs = clock.elapsed() - heardAt
      const silenceMs = self < entry.peerId ? SILENCE_MS : SILENCE_MS + COURTESY_MS
      if (quietMs >= roster.evidenceMs(entry)) roster.lose(entry.peerId, 'silent')
      else if (quietMs >= silenceMs && (entry.connected || dials-- > 0)) {
        prober.probe(entry.peerId, 'silent')
      }
    }
  }
}
