import { InvalidError } from '../base/errors.ts'
import type { Range } from '../storage/table.ts'
import {
  array,
  boolean,
  type Infer,
  literal,
  nullable,
  object,
  oneOf,
  optional,
  type Schema,
  string,
} from './schema.ts'

const limitDefault = 20
const limitMax = 100
/** Of an id, ours being 31 long. */
const CURSOR_CHARS_MAX = 64

/** What every list takes. Spread it into the `closed` schema of a route's query. */
export const pageFields = {
  limit: optional(string({ description: `How many, 1 to ${limitMax}; default ${limitDefault}.` })),
  after: optional(string({ description: 'What comes after the one with this id.' })),
  before: optional(string({ description: 'What comes right before the one with this id.' })),
  order: optional(oneOf(['asc', 'desc'], { description: 'Oldest or newest first; default desc.' })),
}

const querySchema = object(pageFields)
export type PageQuery = Infer<typeof querySchema>

export interface PageJson<T> {
  object: 'list'
  data: T[]
  first_id: string | null
  last_id: string | null
  has_more: boolean
}

export const pageSchema = <T>(item: Schema<T>) =>
  object({
    object: literal('list'),
    data: array(item),
    first_id: nullable(string()),
    last_id: nullable(string()),
    has_more: boolean({
      description: 'Whether there is more in the direction that was asked for.',
    }),
  })

/**
 * One page of a list, as OpenAI's lists are read. Ids are ordered by the time they were made at.
 *
 * ```ts
 * app.get('/files', …, ({ query, principal }) =>
 *   pageOf(query, (range) => files.list(principal.account, range), fileJson))
 * ```
 *
 * A cursor is only compared with, never looked up: one whose thing is gone goes on to work, and
 * somebody else's tells nothing.
 */
export async function pageOf<T, J extends { id: string }>(
  query: PageQuery,
  read: (range: Range<string>) => AsyncIterable<T> | Iterable<T> | Promise<Iterable<T>>,
  toJson: (item: T) => J,
): Promise<PageJson<J>> {
  const limit = checkedLimit(query.limit)
  const after = checkedCursor('after', query.after)
  const before = checkedCursor('before', query.before)
  const newestFirst = query.order !== 'asc'
  const [gt, lt] = newestFirst ? [before, after] : [after, before]
  // What is right before something is read from there backwards.
  const backwards = before !== undefined && after === undefined
  const range: Range<string> = { reverse: newestFirst !== backwards, limit: limit + 1 }
  if (gt !== undefined) range.gt = gt
  if (lt !== undefined) range.lt = lt
  const data: J[] = []
  let hasMore = false
  for await (const item of await read(range)) {
    if (data.length === limit) {
      hasMore = true
      break
    }
    data.push(toJson(item))
  }
  if (backwards) data.reverse()
  const [first, last] = [data[0], data.at(-1)]
  return {
    object: 'list',
    data,
    first_id: first?.id ?? null,
    last_id: last?.id ?? null,
    has_more: hasMore,
  }
}

function checkedLimit(text: string | undefined): number {
  if (text === undefined) return limitDefault
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= limitMax) return limit
  throw new InvalidError('limit', `Invalid 'limit': expected a whole number from 1 to ${limitMax}.`)
}

function checkedCursor(name: string, text: string | undefined): string | undefined {
  if (text === undefined || (text.length <= CURSOR_CHARS_MAX && /^[\w-]+$/.test(text))) return text
  throw new InvalidError(name, `Invalid '${name}': expected an id of this list.`)
}
