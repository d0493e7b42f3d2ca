import { PeerError } from '../../base/errors.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import { readHead } from '../../wire/head.ts'
import type { Batch } from '../../wire/log-batch.ts'
import { sameBytes } from '../../wire/octets.ts'
import type { Range } from '../../wire/sync.ts'
import { feedName } from '../feeds/feed-id.ts'

interface Asked {
  name: string
  range: Range
  /** The index that comes next. */
  next: number
  begun: boolean
}

/** Holds what comes against the ranges that were asked for. */
export class RangeCheck {
  readonly #asked: Asked[]
  readonly #isFollowed: boolean
  #at = 0

  /** `follow`: the logs come in any order, and heads without entries too. */
  constructor(ranges: readonly Range[], how?: 'follow') {
    this.#asked = ranges.map((range) => ({
      name: feedName(range),
      range,
      next: range.from,
      begun: false,
    }))
    this.#isFollowed = how === 'follow'
  }

  /** Throws `not_asked` for a batch that nobody wanted, or not in this place. */
  batch({ head, first, entries, peaks }: Batch): void {
    const asked = this.#logOf(feedName(readHead(head)))
    const { range } = asked
    // The beginning of the log may not be there any more: then it comes with peaks.
    const isLate = !asked.begun && first > asked.next && peaks.length > 0
    if (first !== asked.next && !isLate) throw notAsked()
    const end = first + entries.length
    const isBounded = range.to !== 0 && !this.#isFollowed
    if (isBounded && end > range.to) throw notAsked()
    if (entries.length === 0 && !this.#isFollowed) throw notAsked()
    asked.next = end
    asked.begun = true
  }

  /** It is about one of the authors. That it holds is for `Bars` to say. */
  equivocation({ one }: Equivocation): void {
    const { author } = readHead(one)
    if (!this.#asked.some(({ range }) => sameBytes(range.author, author))) throw notAsked()
  }

  /** The index behind the last entry that came of this range. */
  suppliedTo(range: Range): number {
    return this.#asked.find((asked) => asked.range === range)?.next ?? range.from
  }

  #logOf(name: string): Asked {
    const from = this.#isFollowed ? 0 : this.#at
    const at = this.#asked.findIndex((asked, n) => n >= from && asked.name === name)
    const asked = this.#asked[at]
    if (asked === undefined) throw notAsked()
    this.#at = at
    return asked
  }
}

export const notAsked = () =>
  new PeerError('not_asked', 'The answer is not what was asked for.', { action: 'penalise' })
