import type { Route } from '../wire/chunk.ts'
import { type Ranked, reasonsOf } from './choose/rank.ts'

/** More is of no use to a person, and a header has its limits. */
const CANDIDATES_MAX = 8

/** How a request found who answers it, as it is told to the one who asked. */
export class RouteReport {
  readonly #attempts: Route['attempts'] = []
  #ranked: readonly Ranked[] = []
  #excluded: Readonly<Record<string, number>> = {}
  #own: Route['candidates'] = []
  #resumed = 0

  get attempts(): Route['attempts'] {
    return this.#attempts
  }

  /** This peer does it itself. */
  own(node: string): void {
    this.#own = [{ node, score: 0, reasons: ['served on this machine'] }]
  }

  /** The first choice counts: the later ones are of what it left. */
  chosen(ranked: readonly Ranked[], excluded: Readonly<Record<string, number>>): void {
    if (this.#ranked.length > 0) return
    this.#ranked = ranked
    this.#excluded = excluded
  }

  attempted(node: string, outcome: string, ms: number): void {
    this.#attempts.push({ node, outcome, ms: Math.round(ms) })
  }

  /** The one that had begun did not come to a good end. */
  ended(node: string, outcome: string, ms: number): void {
    if (this.#attempts.at(-1)?.node === node) this.#attempts.pop()
    this.attempted(node, outcome, ms)
  }

  /** It goes on with what another began. */
  resumed(node: string, ms: number): void {
    this.#resumed++
    this.attempted(node, 'resumed', ms)
  }

  route(): Route {
    const tried = new Set(this.#attempts.map(({ node }) => node))
    const wasTried = ({ candidate }: Ranked) => tried.has(candidate.peerId)
    // Those that were tried are shown, however far down they stood.
    const room = Math.max(0, CANDIDATES_MAX - this.#ranked.filter(wasTried).length)
    const others = this.#ranked.filter((ranked) => !wasTried(ranked)).slice(0, room)
    const candidates = this.#ranked
      .filter((ranked) => wasTried(ranked) || others.includes(ranked))
      .map((ranked) => ({
        node: ranked.candidate.peerId,
        score: Math.round(ranked.score),
        reasons: reasonsOf(ranked),
      }))
    return {
      candidates: [...this.#own, ...candidates],
      excluded: { ...this.#excluded },
      attempts: [...this.#attempts],
      ...(this.#resumed > 0 && { resumed: this.#resumed }),
    }
  }
}
