import * as fc from 'fast-check'
import { V8_DONE, type V8Event } from '../../src/wire/v8-event.ts'
import { bound, commit, draft, finalize, opened, rollback } from './vectors/v8-events.ts'

/** A stream, and what it comes to by the count of who made it. */
export interface Told {
  events: V8Event[]
  answer: string
  tokens: number
  accepted: number
  rolledBack: number
}

/** One turn of an engine that verifies drafts. */
interface Round {
  drafts: string[]
  /** So many of them are right, as far as there are any. */
  right: number
  /** So many of them are drafted anew before that. */
  anew: number
  /** What the target says behind them. */
  next: string
  /** The text of what is committed comes with its last token. */
  isHeld: boolean
  rest: string
  isSigned: boolean
  isLost: boolean
}

export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 4 }),
  fc.string({ unit: 'binary', maxLength: 3 }),
  fc.constantFrom('', '\n\n', '</p><script>', 'data: [DONE]\n\n', '\u001b[2J', '\ufeff', '😀é'),
)

const round: fc.Arbitrary<Round> = fc.record({
  drafts: fc.array(anyText, { maxLength: 5 }),
  right: fc.nat({ max: 5 }),
  anew: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, fc.nat({ max: 3 })),
  next: anyText,
  isHeld: fc.boolean(),
  rest: fc.oneof({ arbitrary: fc.constant(''), weight: 5 }, anyText),
  isSigned: fc.boolean(),
  isLost: fc.oneof({ arbitrary: fc.constant(false), weight: 5 }, fc.boolean()),
})

/** Whole streams of which every event is as it should be. */
export const anyStream: fc.Arbitrary<Told> = fc.array(round, { maxLength: 6 }).map(tell)

function tell(rounds: readonly Round[]): Told {
  const told: Told = { events: [opened], answer: '', tokens: 0, accepted: 0, rolledBack: 0 }
  /** Where the part begins of whoever is at work. */
  let start = 0
  let signed = -1
  for (const each of rounds) {
    if (each.isLost) {
      told.events.push(rollback(told.tokens, 'node_lost'))
      start = told.tokens
    }
    tellRound(told, each)
    if (each.rest !== '') {
      told.events.push(commit(told.tokens - 1, each.rest, { rest: true }))
      told.answer += each.rest
    }
    if (each.isSigned && told.tokens - 1 > signed) {
      signed = told.tokens - 1
      told.events.push(bound(start, signed))
    }
  }
  told.events.push(finalize(told.tokens, told.rolledBack))
  return told
}

function tellRound(told: Told, { drafts, right, anew, next, isHeld }: Round): void {
  const first = told.tokens
  for (const [at, text] of drafts.entries()) told.events.push(draft(first + at, text))
  const kept = Math.max(0, drafts.length - anew)
  if (kept < drafts.length) {
    told.events.push(rollback(first + kept, 'redrafted'))
    for (const [at, text] of drafts.slice(kept).entries()) {
      told.events.push(draft(first + kept + at, text))
    }
    told.rolledBack += drafts.length - kept
  }
  const settled = drafts.slice(0, right)
  for (const [at, text] of settled.entries()) {
    told.events.push(commit(first + at, isHeld ? '' : text))
  }
  if (drafts.length > settled.length) told.events.push(rollback(first + settled.length))
  const last = isHeld ? settled.join('') + next : next
  told.events.push(commit(first + settled.length, last))
  told.answer += settled.join('') + next
  told.tokens += settled.length + 1
  told.accepted += settled.length
  told.rolledBack += drafts.length - settled.length
}

const utf8 = new TextEncoder()

/** As a peer sends it. */
export const bytesOf = (events: readonly V8Event[], lineBreak = '\n'): Uint8Array<ArrayBuffer> =>
  utf8.encode(
    [...events.map((event) => JSON.stringify(event)), V8_DONE]
      .map((data) => `data: ${data}\n\n: ping\n\n`)
      .join('')
      .replaceAll('\n', lineBreak),
  )
