import { PeerError } from '../../base/errors.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import type { FeedId } from './feed-id.ts'

/** A part of a log that this peer does not have any more. */
export const logPruned = () =>
  new PeerError(
    'log_pruned',
    'That part of the log is not here any more. Ask another peer for it.',
    {
      action: 'ignore',
    },
  )

/** What came does not join what is here: what lies between comes first. */
export class LogGapError extends PeerError {
  readonly feed: FeedId
  /** The index of the entry that comes next. */
  readonly next: number

  constructor(feed: FeedId, next: number) {
    super('log_gap', `The log is here up to entry ${next}. Ask for what follows.`, {
      action: 'ignore',
    })
    this.feed = feed
    this.next = next
  }
}

/**
 * Its author signed another history than the one that is here. Whoever passed it on need not know;
 * the proof of it takes an entry of both histories at one index.
 */
export class LogForkError extends PeerError {
  readonly feed: FeedId

  constructor(feed: FeedId) {
    super(
      'log_forked',
      'The log does not go on from what is here, though its author signed both.',
      {
        action: 'ignore',
      },
    )
    this.feed = feed
  }
}

/** Two histories, and the proof of it. The author is barred from here on. */
export class EquivocationError extends PeerError {
  readonly proof: Equivocation

  constructor(proof: Equivocation) {
    super('equivocation', 'The author of this log signed two histories of it, and is barred.', {
      action: 'ignore',
    })
    this.proof = proof
  }
}

export const authorBarred = () =>
  new PeerError('author_barred', 'The author of this log is barred: it signed two histories.', {
    action: 'ignore',
  })

/** Only this peer writes to it. */
export const ownLog = () =>
  new PeerError('own_log', 'The log is this peer’s own.', { action: 'ignore' })

export const logFull = (what: string) =>
  new PeerError('log_full', `This peer keeps no more ${what}. Others may.`, { action: 'ignore' })
