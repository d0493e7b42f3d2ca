import type { Due } from './event-record.ts'

export interface BacklogLimits {
  /** At work at once for one account, whatever its endpoints do. */
  atWorkPerAccount: number
  /** At work at once for one endpoint. */
  atWorkPerEndpoint(endpointId: string): number
}

/** The deliveries to one endpoint that are due. */
interface Lane {
  endpointId: string
  waiting: Due[]
  atWork: number
}

interface Line {
  account: string
  /** All that is pending, whether due or not. */
  size: number
  atWork: number
  lanes: Lane[]
  /** Whether it stands in the ring. */
  queued: boolean
}

/**
 * What is to be delivered, and whose turn it is. Accounts take turns, and in each account its
 * endpoints: a receiver that takes for ever holds up nobody but, at last, its own account.
 */
export class Backlog {
  readonly #limits: BacklogLimits
  readonly #lines = new Map<string, Line>()
  /** Accounts that have something to do and may do it. */
  readonly #ring: Line[] = []
  readonly #later = new DueHeap()
  #size = 0

  constructor(limits: BacklogLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#size
  }

  sizeOf(account: string): number {
    return this.#lines.get(account)?.size ?? 0
  }

  add(due: Due): void {
    this.#size += 1
    this.#lineOf(due.account).size += 1
    this.#later.push(due)
  }

  /** When the next one that is not yet due will be. */
  nextAt(): number | undefined {
    return this.#later.first()?.at
  }

  /** The next to be delivered, until it is `done` or comes `back`; undefined where all wait. */
  take(now: number): Due | undefined {
    this.#wake(now)
    for (let line = this.#ring.shift(); line !== undefined; line = this.#ring.shift()) {
      line.queued = false
      const lane = this.#freeLane(line)
      const due = lane?.waiting.shift()
      if (lane === undefined || due === undefined) continue
      lane.atWork += 1
      line.atWork += 1
      // To the end of its account's endpoints, and of all accounts.
      line.lanes.splice(line.lanes.indexOf(lane), 1)
      line.lanes.push(lane)
      this.#enqueue(line)
      return due
    }
    return undefined
  }

  /** It was delivered, or is given up. */
  done(due: Due): void {
    const line = this.#leave(due)
    this.#size -= 1
    line.size -= 1
    if (line.size === 0) this.#lines.delete(line.account)
    else this.#enqueue(line)
  }

  /** It is to be tried again. */
  back(due: Due): void {
    const line = this.#leave(due)
    this.#later.push(due)
    this.#enqueue(line)
  }

  #wake(now: number): void {
    for (let due = this.#later.first(); due !== undefined && due.at <= now; ) {
      this.#later.shift()
      const line = this.#lineOf(due.account)
      laneOf(line, due.endpointId).waiting.push(due)
      this.#enqueue(line)
      due = this.#later.first()
    }
  }

  #leave(due: Due): Line {
    const line = this.#lineOf(due.account)
    const lane = laneOf(line, due.endpointId)
    line.atWork -= 1
    lane.atWork -= 1
    if (lane.atWork === 0 && lane.waiting.length === 0) {
      line.lanes.splice(line.lanes.indexOf(lane), 1)
    }
    return line
  }

  #enqueue(line: Line): void {
    if (line.queued || this.#freeLane(line) === undefined) return
    line.queued = true
    this.#ring.push(line)
  }

  #freeLane(line: Line): Lane | undefined {
    const { atWorkPerAccount, atWorkPerEndpoint } = this.#limits
    if (line.atWork >= atWorkPerAccount) return undefined
    return line.lanes.find(
      ({ endpointId, waiting, atWork }) =>
        waiting.length > 0 && atWork < atWorkPerEndpoint(endpointId),
    )
  }

  #lineOf(account: string): Line {
    let line = this.#lines.get(account)
    if (line === undefined) {
      line = { account, size: 0, atWork: 0, lanes: [], queued: false }
      this.#lines.set(account, line)
    }
    return line
  }
}

/** An account has few endpoints. */
function laneOf(line: Line, endpointId: string): Lane {
  let lane = line.lanes.find((each) => each.endpointId === endpointId)
  if (lane === undefined) {
    lane = { endpointId, waiting: [], atWork: 0 }
    line.lanes.push(lane)
  }
  return lane
}

/** The earliest is the first. */
class DueHeap {
  readonly #items: Due[] = []

  first(): Due | undefined {
    return this.#items[0]
  }

  push(due: Due): void {
    let at = this.#items.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#at(parent) <= due.at) break
      this.#items[at] = this.#items[parent] as Due
      at = parent
    }
    this.#items[at] = due
  }

  shift(): Due | undefined {
    const first = this.#items[0]
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return first
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const child = this.#at(left + 1) < this.#at(left) ? left + 1 : left
      if (this.#at(child) >= last.at) break
      this.#items[at] = this.#items[child] as Due
      at = child
    }
    this.#items[at] = last
    return first
  }

  #at(index: number): number {
    return this.#items[index]?.at ?? Number.POSITIVE_INFINITY
  }
}
