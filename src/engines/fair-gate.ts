import { Underway } from '../base/underway.ts'
import { slotsOf } from './lanes.ts'

export interface FairGateOptions {
  /** Lanes that may run at once. */
  slots: number
  /** Jobs that may wait in all. */
  queueMax: number
  /** Jobs of one scope that may wait. */
  scopeMax: number
}

export type Refusal = 'queue-full' | 'scope-full'

/**
 * Lets jobs through to a number of slots: scopes take turns, and within a scope first come, first
 * served. Nobody overtakes the job whose turn it is, or a wide one would never start; but one whose
 * scope holds its share already waits for its own kind.
 */
export class FairGate {
  readonly #options: FairGateOptions
  readonly #onChange: () => void
  /** The map's order is the order of turns; a scope without waiting jobs is not in it. */
  readonly #scopes = new Map<string, Ticket[]>()
  readonly #running = new Underway<Ticket>()
  #slots: number
  #queued = 0
  #admitted = 0

  /** `onChange` is called after each change of `slots`, `running` or `queued`. */
  constructor(options: FairGateOptions, onChange: () => void = () => {}) {
    this.#options = options
    this.#onChange = onChange
    this.#slots = options.slots
  }

  get slots(): number {
    return this.#slots
  }

  /** Jobs that run. */
  get running(): number {
    return this.#running.size
  }

  /** Jobs that wait. */
  get queued(): number {
    return this.#queued
  }

  /** Jobs let through since the beginning. */
  get admitted(): number {
    return this.#admitted
  }

  resize(slots: number): void {
    this.#slots = Math.max(1, Math.floor(slots))
    this.#admit()
    this.#onChange()
  }

  /**
   * The ticket is admitted at once where there is room; it must be left in every case. `share`: the
   * part of the slots that its scope may hold.
   */
  enter(scope: string, lanes: number, share = 1): Ticket | Refusal {
    const ticket = new Ticket({ scope, lanes, share }, () => this.#giveUp(ticket))
    if (this.#queued === 0 && this.#fits(ticket) && this.#hasShare(ticket)) {
      this.#start(ticket)
      this.#onChange()
      return ticket
    }
    if (this.#queued >= this.#options.queueMax) return 'queue-full'
    const waiting = this.#scopes.get(scope) ?? []
    if (waiting.length >= this.#options.scopeMax) return 'scope-full'
    waiting.push(ticket)
    this.#scopes.set(scope, waiting)
    this.#queued++
    // Where all that wait have their share, there may be room.
    this.#admit()
    this.#onChange()
    return ticket
  }

  /** What its job holds at once; if it has more lanes, they wait for each other. */
  #weight({ lanes, share }: Ticket): number {
    return Math.min(lanes, slotsOf(this.#slots, share))
  }

  #fits(ticket: Ticket): boolean {
    return this.#held() + this.#weight(ticket) <= this.#slots
  }

  #hasShare(ticket: Ticket): boolean {
    const { scope, share } = ticket
    if (share >= 1) return true
    return this.#held(scope) + this.#weight(ticket) <= slotsOf(this.#slots, share)
  }

  /**
   * By one scope, or all. Counted anew each time, since what a job with many lanes holds changes with
   * the number of slots; no more jobs run than that.
   */
  #held(scope?: string): number {
    let held = 0
    for (const running of this.#running.all()) {
      if (scope === undefined || running.scope === scope) held += this.#weight(running)
    }
    return held
  }

  #start(ticket: Ticket): void {
    const end = this.#running.add(ticket)
    this.#admitted++
    ticket.admit(() => {
      end()
      this.#admit()
      this.#onChange()
    })
  }

  #giveUp(ticket: Ticket): void {
    const waiting = this.#scopes.get(ticket.scope) ?? []
    waiting.splice(waiting.indexOf(ticket), 1)
    if (waiting.length === 0) this.#scopes.delete(ticket.scope)
    this.#queued--
    this.#admit()
    this.#onChange()
  }

  #admit(): void {
    for (const [scope, waiting] of this.#scopes) {
      const [first] = waiting
      if (first === undefined) break
      if (!this.#hasShare(first)) continue
      if (!this.#fits(first)) break
      waiting.shift()
      this.#queued--
      // Set anew at the end, where this loop meets it: its next turn is after everyone else's.
      this.#scopes.delete(scope)
      if (waiting.length > 0) this.#scopes.set(scope, waiting)
      this.#start(first)
    }
    this.#tellPlaces()
  }

  /**
   * Before the job at depth d of its scope come d of its own, and of each other scope as many as
   * there are up to d, or d + 1 where that scope's turn is earlier.
   */
  #tellPlaces(): void {
    const lengths = [...this.#scopes.values()].map((waiting) => waiting.length)
    let turn = 0
    for (const waiting of this.#scopes.values()) {
      for (const [depth, ticket] of waiting.entries()) {
        let before = depth
        for (const [other, length] of lengths.entries()) {
          if (other !== turn) before += Math.min(length, other < turn ? depth + 1 : depth)
        }
        ticket.move(before)
      }
      turn++
    }
  }
}

/** One job's place at the gate. */
export class Ticket {
  readonly scope: string
  readonly lanes: number
  readonly share: number
  #onLeave: () => void
  #state: 'waiting' | 'running' | 'left' = 'waiting'
  #place = 0
  #wake: (() => void) | undefined

  constructor(
    { scope, lanes, share }: { scope: string; lanes: number; share: number },
    onLeave: () => void,
  ) {
    this.scope = scope
    this.lanes = lanes
    this.share = share
    this.#onLeave = onLeave
  }

  get state(): 'waiting' | 'running' | 'left' {
    return this.#state
  }

  /** Waiting jobs that start before this one. */
  get place(): number {
    return this.#place
  }

  /** Resolves at the next change of state or place. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Gives the slots, or the place in the queue, back. Only the first call counts. */
  leave(): void {
    if (this.#state === 'left') return
    this.#onLeave()
    this.#state = 'left'
    this.#wake?.()
  }

  /** For the gate alone: how this one leaves from now on. */
  admit(onLeave: () => void): void {
    this.#state = 'running'
    this.#onLeave = onLeave
    this.#wake?.()
  }

  /** For the gate alone. */
  move(place: number): void {
    if (place === this.#place) return
    this.#place = place
    this.#wake?.()
  }
}
