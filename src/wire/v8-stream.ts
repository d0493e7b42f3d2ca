import { PeerError } from '../base/errors.ts'
import { malformed } from './malformed.ts'
import { utf8Length } from './utf8-length.ts'
import {
  type ReceiptBound,
  type StreamError,
  type StreamOpen,
  type TokenCommit,
  type TokenFinalize,
  type TokenProvisional,
  type TokenRollback,
  type V8Event,
  v8Limits,
} from './v8-event.ts'

/** What a reader knows of an answer after some of its events. */
export interface V8State {
  /** `new`: nothing came yet. `failed`: it broke off. */
  phase: 'new' | 'open' | 'done' | 'failed'
  opened: StreamOpen | undefined
  /** The answer so far: nothing takes any of it back. */
  committed: string
  committedBytes: number
  /** Tokens in it. */
  tokens: number
  /** Texts of the drafts that stand, the first one being of the token after the last in the answer. */
  ghosts: readonly string[]
  ghostBytes: number
  /** Drafts that came into the answer, and that were taken back. */
  accepted: number
  rolledBack: number
  /** What the last receipt covers. */
  segment: { start: number; end: number } | undefined
  finalized: TokenFinalize | undefined
  error: StreamError['error'] | undefined
}

export const v8Start: V8State = {
  phase: 'new',
  opened: undefined,
  committed: '',
  committedBytes: 0,
  tokens: 0,
  ghosts: [],
  ghostBytes: 0,
  accepted: 0,
  rolledBack: 0,
  segment: undefined,
  finalized: undefined,
  error: undefined,
}

/** Throws `malformed` for an event that may not stand there. The work is bounded, however long the answer. */
export function reduceV8(state: V8State, event: V8Event): V8State {
  checkTurn(state, event)
  switch (event.event) {
    case 'stream.open':
      return { ...state, phase: 'open', opened: event }
    case 'token.provisional':
      return drafted(state, event)
    case 'token.commit':
      return committed(state, event)
    case 'token.rollback':
      return rolledBack(state, event)
    case 'receipt.bound':
      return bound(state, event)
    case 'token.finalize':
      return finalized(state, event)
    case 'error':
      return { ...state, phase: 'failed', ghosts: [], ghostBytes: 0, error: event.error }
  }
}

/** Throws `cut_off` where a stream must not end yet. */
export function checkV8End({ phase }: V8State): void {
  if (phase === 'done' || phase === 'failed') return
  throw new PeerError('cut_off', 'The stream ended before its answer did. Ask again.')
}

function checkTurn({ phase, opened }: V8State, { event, request_id }: V8Event): void {
  if (phase === 'done' || phase === 'failed') throw malformed(event, 'comes after the end')
  if (event === 'error') return
  if ((phase === 'new') !== (event === 'stream.open')) {
    throw malformed(event, phase === 'new' ? 'comes before stream.open' : 'comes twice')
  }
  if (opened !== undefined && request_id !== opened.request_id) {
    throw malformed(`${event}.request_id`, 'is that of another answer')
  }
}

function drafted(state: V8State, { id, text }: TokenProvisional): V8State {
  const next = state.tokens + state.ghosts.length
  if (id !== next) throw malformed('token.provisional.id', `is ${id}, and not ${next}`)
  if (state.ghosts.length === v8Limits.ghosts) {
    throw malformed('token.provisional', `is beyond ${v8Limits.ghosts} drafts`)
  }
  const ghostBytes = state.ghostBytes + utf8Length(text)
  if (ghostBytes > v8Limits.ghostBytes) {
    throw malformed('token.provisional.text', `is beyond ${v8Limits.ghostBytes} bytes of drafts`)
  }
  return { ...state, ghosts: [...state.ghosts, text], ghostBytes }
}

function committed(state: V8State, { id, text, rest }: TokenCommit): V8State {
  const committedBytes = state.committedBytes + utf8Length(text)
  if (committedBytes > v8Limits.answerBytes) {
    throw malformed('token.commit.text', `is beyond ${v8Limits.answerBytes} bytes of answer`)
  }
  const next = rest ? state.tokens - 1 : state.tokens
  if (id !== next || next < 0) throw malformed('token.commit.id', `is ${id}, and not ${next}`)
  // Engines keep such a text as a list of its parts: it is not copied for each of them.
  const more = { ...state, committed: state.committed + text, committedBytes }
  if (rest) return more
  if (id === v8Limits.tokens) throw malformed('token.commit', `is beyond ${id} tokens`)
  const [settled, ...ghosts] = state.ghosts
  more.tokens++
  if (settled === undefined) return more
  more.ghosts = ghosts
  more.ghostBytes -= utf8Length(settled)
  more.accepted++
  return more
}

function rolledBack(state: V8State, { from_id: from }: TokenRollback): V8State {
  const { tokens, ghosts } = state
  const kept = from - tokens
  if (kept < 0) throw malformed('token.rollback.from_id', `is ${from}: that token is committed`)
  if (kept > ghosts.length)
    throw malformed('token.rollback.from_id', `is ${from}: nothing is there`)
  const gone = ghosts.slice(kept)
  const count = state.rolledBack + gone.length
  if (count > v8Limits.rolledBackAtFirst + v8Limits.rolledBackPerToken * tokens) {
    throw malformed('token.rollback', `is beyond what ${tokens} tokens can do with`)
  }
  const ghostBytes = gone.reduce((bytes, text) => bytes - utf8Length(text), state.ghostBytes)
  return { ...state, ghosts: ghosts.slice(0, kept), ghostBytes, rolledBack: count }
}

function bound(state: V8State, event: ReceiptBound): V8State {
  const { segment_start: start, segment_end: end } = event
  const { start: startBefore, end: endBefore } = state.segment ?? { start: 0, end: -1 }
  if (end >= state.tokens) throw malformed('receipt.bound.segment_end', 'is not committed')
  if (end <= endBefore) throw malformed('receipt.bound.segment_end', 'is covered already')
  if (start > end || (start !== startBefore && start <= endBefore)) {
    throw malformed('receipt.bound.segment_start', 'is within another segment')
  }
  return { ...state, segment: { start, end } }
}

function finalized(state: V8State, event: TokenFinalize): V8State {
  const { tokens, ghosts } = state
  if (ghosts.length > 0) throw malformed('token.finalize', 'comes while there are drafts')
  if (event.tokens_committed !== tokens) {
    throw malformed('token.finalize.tokens_committed', `is not ${tokens}`)
  }
  if (event.tokens_rolled_back !== state.rolledBack) {
    throw malformed('token.finalize.tokens_rolled_back', `is not ${state.rolledBack}`)
  }
  return { ...state, phase: 'done', finalized: event }
}
