import type { Provisional, RollbackReason, RolledBack } from '../../wire/chunk.ts'
import type { FromProvider } from '../../wire/generate.ts'
import { misbehaved, TEXT_PER_TOKEN_MAX } from './answer-check.ts'

/** Tokens behind the answer so far: a window of guesses, and what a stop string may hold back. */
const AHEAD_MAX = 512
/** Shown at first, and for each token that comes: a window, each time anew. */
const SHOWN_AT_FIRST = 1_024
const SHOWN_PER_TOKEN = 64
/** Who sends so many times as many as are shown does it to keep others busy. */
const FLOOD = 16

const reasons: ReadonlySet<string> = new Set<RollbackReason>([
  'token_mismatch',
  'stop_sequence',
  'cancelled',
  'node_lost',
])

export interface GhostsExpected {
  /** Without it nobody asked for any. */
  watched?: boolean | undefined
  peerId: string
  /** Others that may draft. */
  drafters?: readonly string[] | undefined
}

/** What has come of the answer. */
interface Progress {
  outputTokens: number
  /** Where the next token of a choice will be; undefined where there is no such choice. */
  next(choice: number): number | undefined
}

type FrameOf<T extends FromProvider['type']> = Extract<FromProvider, { type: T }>

/**
 * Holds guesses that are to be looked at against the answer so far. They are no part of it, so what
 * is too much of them is not shown, and costs nobody the answer.
 */
export class GhostCheck {
  readonly #expected: GhostsExpected
  readonly #progress: Progress
  #came = 0

  constructor(expected: GhostsExpected, progress: Progress) {
    this.#expected = expected
    this.#progress = progress
  }

  /** Undefined for what is too much. */
  provisional({
    choice,
    first: index,
    ids,
    text,
    drafter: named,
  }: FrameOf<'provisional'>): Provisional | undefined {
    const next = this.#next(choice, 'provisional')
    if (index < next) throw misbehaved('a draft of what is there already')
    if (index + ids.length > next + AHEAD_MAX) throw misbehaved('drafts too far ahead')
    if (ids.length === 0) throw misbehaved('a draft without tokens')
    if (text.length > AHEAD_MAX * TEXT_PER_TOKEN_MAX) throw misbehaved('more text than tokens hold')
    const drafter = named === '' ? this.#expected.peerId : named
    this.#mayDraft(drafter)
    if (!this.#hasRoom(ids.length)) return undefined
    return { type: 'provisional', choice, index, ids, text, drafter }
  }

  rollback({ choice, from, reason: named }: FrameOf<'rollback'>): RolledBack | undefined {
    if (from < this.#next(choice, 'rollback')) throw misbehaved('it takes back what is no draft')
    const reason = reasons.has(named) ? (named as RollbackReason) : 'token_mismatch'
    return this.#hasRoom(1) ? { type: 'rollback', choice, from, reason } : undefined
  }

  commit({ choice }: FrameOf<'commit'>): undefined {
    this.#next(choice, 'commit')
    this.#hasRoom(1)
  }

  /** At the end, also of an answer that nobody watched. */
  done({ drafting }: FrameOf<'done'>): void {
    for (const { drafter } of drafting) this.#mayDraft(drafter)
  }

  #mayDraft(drafter: string): void {
    const { peerId, drafters = [] } = this.#expected
    if (drafter === peerId || drafters.includes(drafter)) return
    throw misbehaved('somebody drafts who may not see the prompt')
  }

  #next(choice: number, type: string): number {
    if (this.#expected.watched !== true) throw misbehaved(`nobody asked for ${type}`)
    const next = this.#progress.next(choice)
    if (next === undefined) throw misbehaved('there is no such choice')
    return next
  }

  #hasRoom(count: number): boolean {
    this.#came += count
    const shown = SHOWN_AT_FIRST + SHOWN_PER_TOKEN * this.#progress.outputTokens
    if (this.#came > shown * FLOOD) throw misbehaved('it drafts without end')
    return this.#came <= shown
  }
}
