import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { InvalidError, PeerError } from '../../base/errors.ts'
import type { FeedHead, FeedStore } from '../../receipts/feeds/feed-store.ts'
import { entryCid } from '../../wire/cid.ts'
import { readHead } from '../../wire/head.ts'
import { peerIdOf, publicKeyOf } from '../../wire/peer-id.ts'
import type { RouteModule } from '../route.ts'
import {
  array,
  boolean,
  closed,
  type Infer,
  integer,
  literal,
  nullable,
  object,
  optional,
  string,
} from '../schema.ts'
import { isoTime } from './receipt-json.ts'

export interface LogComponents {
  feeds: Pick<FeedStore, 'feeds' | 'entries' | 'peaksAt' | 'proveGrowth'>
}

/** Heads in one answer. */
const HEADS_MAX = 500
/** Entries in one answer, and their bytes: whoever wants more asks again from there on. */
const ENTRIES_MAX = 1000
const ENTRY_BYTES_MAX = 4 * 1024 * 1024
/** Logs of one peer that are looked at for its newest; a peer has one for each accident. */
const EPOCHS_MAX = 64

const head = {
  object: literal('log.head'),
  author: string({ description: 'A peer id.' }),
  epoch: string({ description: 'Which of its logs: 16 hex digits.' }),
  size: integer(),
  root: string({ description: '64 hex digits.' }),
  at: string(),
  start: integer({ description: 'The first entry that is still here.' }),
  head: string({ description: 'Base64 of what is signed, behind PNV1|head|<network>|.' }),
  head_signature: string(),
}
const headSchema = object(head)

const hashes = (description: string) => array(string(), { description })

/** The first line of a log. */
const partSchema = object({
  ...head,
  from: integer({ description: 'The first entry below.' }),
  end: integer({ description: 'Behind the last entry below; `from` of the next part.' }),
  peaks: hashes('Of the tree over the entries before `from`, the largest first, in hex.'),
  path: hashes('Of consistency, from the tree over the entries before `end` to the root.'),
})

const headsSchema = object({
  object: literal('list'),
  data: array(headSchema),
  has_more: boolean(),
  last_id: nullable(string({ description: 'For `after`, to go on.' })),
})

const entrySchema = object({ index: integer(), cid: string(), entry_b64: string() })

const headsQuery = closed({ after: optional(string()) })
const logQuery = closed({
  from: optional(
    string({ description: 'The first index that is wanted; default: the first that is here.' }),
  ),
  epoch: optional(string({ description: 'Default: the one with the newest head.' })),
})

const open = { config: { access: 'public' } } as const
const tags = ['Receipts']

/** `GET /v8/log/heads` and `GET /v8/log/{author}`: what it takes to read anybody's log again. */
export function logRoutes({ feeds }: LogComponents): RouteModule {
  return (app) => {
    app.get<{ Querystring: Infer<typeof headsQuery> }>(
      '/v8/log/heads',
      {
        schema: {
          summary: 'The newest signed head of every log that this peer has',
          tags,
          querystring: headsQuery,
          response: { 200: headsSchema },
        },
        ...open,
      },
      ({ query }, reply) => {
        reply.header('cache-control', 'no-store')
        return listHeads(feeds, query.after)
      },
    )
    app.get<{ Params: { author: string }; Querystring: Infer<typeof logQuery> }>(
      '/v8/log/:author',
      {
        schema: {
          summary: "Entries of a peer's log as JSON lines, behind its signed head",
          tags,
          params: object({ author: string({ description: 'A peer id.' }) }),
          querystring: logQuery,
          errors: ['log_not_found', 'log_pruned'],
          response: {
            200: {
              description:
                'The head, then as many entries as one answer holds. The peaks, the entries and ' +
                'the path lead to its root: each part proves itself (RFC 6962).',
              content: {
                'application/x-ndjson': { schema: { anyOf: [partSchema, entrySchema] } },
              },
            },
          },
        },
        ...open,
      },
      async ({ params, query }, reply) => {
        const found = await findLog(feeds, toKey(params.author, 'author'), query.epoch)
        const lines = await logLines(feeds, found, toIndex(query.from))
        return reply
          .header('cache-control', 'no-store')
          .type('application/x-ndjson; charset=utf-8')
          .serializer(String)
          .send(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
      },
    )
  }
}

async function listHeads(
  feeds: LogComponents['feeds'],
  text: string | undefined,
): Promise<Infer<typeof headsSchema>> {
  const after = text === undefined ? {} : { after: toFeed(text) }
  const data: Infer<typeof headSchema>[] = []
  let hasMore = false
  for await (const found of feeds.feeds(after)) {
    hasMore = data.length === HEADS_MAX
    if (hasMore) break
    data.push(headJson(found))
  }
  const last = data.at(-1)
  const lastId = last === undefined ? null : `${last.author}.${last.epoch}`
  return { object: 'list', data, has_more: hasMore, last_id: lastId }
}

function headJson({ head, start }: FeedHead): Infer<typeof headSchema> {
  const { author, epoch, size, root, at } = readHead(head)
  return {
    object: 'log.head',
    author: peerIdOf(author),
    epoch: bytesToHex(epoch),
    size,
    root: bytesToHex(root),
    at: isoTime(at),
    start,
    head: base64(head.payload),
    head_signature: base64(head.signature),
  }
}

async function findLog(
  feeds: LogComponents['feeds'],
  author: Uint8Array,
  epoch: string | undefined,
): Promise<FeedHead> {
  let newest: FeedHead | undefined
  let looked = 0
  for await (const found of feeds.feeds({ author })) {
    const isWanted = epoch === undefined || bytesToHex(found.feed.epoch) === epoch
    if (isWanted && (newest === undefined || atOf(found) > atOf(newest))) newest = found
    looked++
    if (looked === EPOCHS_MAX) break
  }
  if (newest !== undefined) return newest
  throw new PeerError(
    'log_not_found',
    'This peer has no such log. GET /v8/log/heads lists those that it has.',
  )
}

const atOf = ({ head }: FeedHead): number => readHead(head).at

async function logLines(
  feeds: LogComponents['feeds'],
  { feed, head, start }: FeedHead,
  asked: number = start,
): Promise<object[]> {
  if (asked < start) throw pruned(start)
  // No more than its head covers: what stands behind that is not signed yet.
  const { size } = readHead(head)
  const from = Math.min(asked, size)
  const entries: Infer<typeof entrySchema>[] = []
  let room = ENTRY_BYTES_MAX
  const most = Math.min(size, from + ENTRIES_MAX)
  for await (const { index, bytes } of feeds.entries(feed, from, most)) {
    // They were thrown away just now.
    if (index !== from + entries.length) throw pruned(index)
    room -= bytes.length
    if (room < 0) break
    entries.push({ index, cid: entryCid(bytes).toString(), entry_b64: base64(bytes) })
  }
  const end = from + entries.length
  const [peaks, path] = [await feeds.peaksAt(feed, from), await feeds.proveGrowth(feed, end, size)]
  const part: Infer<typeof partSchema> = {
    ...headJson({ feed, head, start }),
    ...{ from, end, peaks: peaks.map(bytesToHex), path: path.map(bytesToHex) },
  }
  return [part, ...entries]
}

const pruned = (start: number) =>
  new PeerError(
    'log_pruned',
    `The log is here from entry ${start} on. Ask for those, or ask another peer.`,
  )

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function toKey(peerId: string, param: string): Uint8Array {
  try {
    return publicKeyOf(peerId)
  } catch {
    const says = 'expected a peer id, 52 characters from 12D3Koo on.'
    throw new InvalidError(param, `Invalid '${param}': ${says}`)
  }
}

function toFeed(text: string) {
  const [author = '', epoch = ''] = text.split('.')
  if (!/^[0-9a-f]{16}$/.test(epoch)) {
    throw new InvalidError('after', "Invalid 'after': expected the `last_id` of a page before.")
  }
  return { author: toKey(author, 'after'), epoch: hexToBytes(epoch) }
}

function toIndex(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidError('from', "Invalid 'from': expected a whole number.")
}
