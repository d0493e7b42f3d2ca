import { type Call, callOf } from './call.ts'
import { PinaivuError } from './pinaivu-error.ts'

/** What lists take. */
export interface PageQuery {
  /** How many in one page, 1 to 100. */
  limit?: number | undefined
  /** What comes after the one with this id. */
  after?: string | undefined
  /** What comes right before the one with this id. */
  before?: string | undefined
  /** Oldest or newest first. */
  order?: 'asc' | 'desc' | undefined
}

/** One page of a list. */
export interface Page<T> {
  object: 'list'
  data: T[]
  first_id: string | null
  last_id: string | null
  /** Whether there is more in the direction that was asked for. */
  has_more: boolean
}

/** `await` gives one page; `for await` all that is in the list, page after page. */
export interface Pages<T> extends Call<Page<T>>, AsyncIterable<T> {}

type Cursor = Pick<PageQuery, 'after' | 'before'>

/** `read` asks for the page at a place. */
export function pagesOf<T>(query: Cursor, read: (cursor: Cursor) => Call<Page<T>>): Pages<T> {
  const first = read({ after: query.after, before: query.before })
  const checked = callOf(
    first.withResponse().then(({ data, response }) => ({ data: checkedPage(data), response })),
  )
  return Object.assign(checked, {
    [Symbol.asyncIterator]: () => itemsOf(checked, query, read),
  })
}

async function* itemsOf<T>(
  first: Promise<Page<T>>,
  { after, before }: Cursor,
  read: (cursor: Cursor) => Call<Page<T>>,
): AsyncGenerator<T, void, undefined> {
  let cursor: Cursor = { after, before }
  for (let page = await first; ; page = checkedPage(await read(cursor))) {
    yield* page.data
    if (!page.has_more) return
    cursor = cursorBehind(page, cursor)
  }
}

/** Backwards where only what is before something was asked for. */
function cursorBehind<T>({ first_id, last_id }: Page<T>, { after, before }: Cursor): Cursor {
  const isBackwards = before !== undefined && after === undefined
  const id = isBackwards ? first_id : last_id
  // Else a list would never end.
  if (typeof id !== 'string' || id === (isBackwards ? before : after)) throw notAPage()
  return isBackwards ? { before: id } : { after: id, before }
}

function checkedPage<T>(page: Page<T>): Page<T> {
  const { data, first_id = null, last_id = null, has_more } = page
  if (!Array.isArray(data)) throw notAPage()
  return { object: 'list', data, first_id, last_id, has_more: has_more === true }
}

const notAPage = () => new PinaivuError('malformed', 'The answer is no page of a list.')
