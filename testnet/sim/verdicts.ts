/** What must never happen. */
export interface Violation {
  /** Milliseconds since the beginning. */
  at: number
  rule: Rule
  message: string
}

export type Rule =
  | 'answers are what the model said'
  | 'requests end in time'
  | 'errors have a type'
  | 'requests succeed in calm'
  | 'nobody sees a ghost'
  | 'logs converge'
  | 'nothing acknowledged is lost'
  | 'prices add up'
  | 'no honest peer is blamed'
  | 'nothing is left over at rest'
  | 'nothing fails unheard'
  | 'peers come back'

/** Where all of them are told. */
export class Verdicts {
  readonly #now: () => number
  readonly violations: Violation[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  broken(rule: Rule, message: string): void {
    this.violations.push({ at: this.#now(), rule, message })
  }

  /** Says so where it does not hold. */
  expect(holds: boolean, rule: Rule, message: () => string): void {
    if (!holds) this.broken(rule, message())
  }
}
