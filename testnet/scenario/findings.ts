/** One thing that had to hold. */
export interface Finding {
  what: string
  holds: boolean
  /** A sentence for people. */
  says: string
}

/** How a scenario ended. */
export interface Verdict {
  scenario: string
  /** All of it. */
  held: boolean
  findings: Finding[]
  figures: Record<string, number>
  seed: number
}

/** What happened, as it is told while it happens. */
export interface Happening {
  /** Since the scenario began. */
  ms: number
  says: string
}

/** What a scenario tells: what happens, what held, and in figures. */
export class Findings {
  readonly findings: Finding[] = []
  readonly figures: Record<string, number> = {}
  readonly #began = performance.now()
  readonly #tell: (happening: Happening) => void

  constructor(tell: (happening: Happening) => void) {
    this.#tell = tell
  }

  say(says: string): void {
    this.#tell({ ms: Math.round(performance.now() - this.#began), says })
  }

  finds(what: string, holds: boolean, says: string): void {
    this.findings.push({ what, holds, says })
  }

  figure(name: string, value: number): void {
    this.figures[name] = Math.round(value * 10) / 10
  }

  verdict(scenario: string, seed: number): Verdict {
    const { findings, figures } = this
    // What looked at nothing has not held.
    const held = findings.length > 0 && findings.every(({ holds }) => holds)
    return { scenario, held, findings, figures, seed }
  }
}
