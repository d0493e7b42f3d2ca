import { didYouMean, scopes } from '../src/index.ts'
import type { Command, Input } from './command.ts'
import { CommandError, exitCodes, type Io, print, tableWidthOf, UsageError } from './io.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, paintFor, safeJson, safeLine, table } from './text.ts'

const path = '/api/v1/auth/api-keys'

/** A key as the peer describes it; `key` itself only in the answer that made it. */
interface KeyRow {
  id: string
  name: string
  prefix: string
  account: string
  scopes: string[]
  created_at: string
  last_used_at: string | null
  expires_at: string | null
  revoked_at: string | null
  key?: string
}

export const keysList: Command = {
  name: 'keys list',
  summary: "List the API keys of the running peer's endpoint.",
  options: [],
  examples: [
    ['pinaivu-peer keys list', 'Name, account and last use of each'],
    ['pinaivu-peer keys list --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const { client } = await requirePeer(input.dataDir, io.signal)
    const answer = (await client.json('GET', path, { signal: io.signal })) as { data?: unknown }
    const keys = Array.isArray(answer.data) ? answer.data.map(keyOf) : []
    const lines = input.json ? [safeJson(keys)] : listLines(keys, io)
    print(io.stdout, ...lines)
    return exitCodes.done
  },
}

export const keysCreate: Command = {
  name: 'keys create',
  summary: "Make an API key for the running peer's endpoint. It is shown only this once.",
  options: [
    { name: 'name', placeholder: 'NAME', help: 'What the key is for.', defaultText: 'key' },
    {
      name: 'account',
      placeholder: 'ACCOUNT',
      help: 'Whose key it is; the account is made on first use.',
      defaultText: "the owner's",
    },
    {
      name: 'scope',
      placeholder: 'SCOPE',
      many: true,
      help: `What it may be used for: ${scopes.join(', ')}.`,
      defaultText: 'all but keys:manage',
    },
    {
      name: 'expires',
      placeholder: 'WHEN',
      help: 'A time from now (90d, 12h, 30min) or a date (2027-01-31).',
      defaultText: 'never',
    },
  ],
  examples: [
    ['pinaivu-peer keys create --name laptop', 'A key with all scopes but keys:manage'],
    [
      'pinaivu-peer keys create --name app --account alice --scope inference --expires 90d',
      "A key of alice's that only answers, for 90 days",
    ],
  ],
  async run(input, io) {
    const body = creation(input, Date.now())
    const { client } = await requirePeer(input.dataDir, io.signal)
    const made = keyOf(await client.json('POST', path, { signal: io.signal, body }))
    if (made.key === undefined) throw new CommandError('The peer made a key but did not show it.')
    print(io.stdout, ...(input.json ? [safeJson(made)] : [safeLine(made.key)]))
    // The key alone is on stdout, for KEY=$(pinaivu-peer keys create).
    const note = `Key "${made.name}" for account ${made.account}. Keep it: it is not shown again.`
    if (!input.json) print(io.stderr, safeLine(note))
    return exitCodes.done
  },
}

function creation({ values }: Input, now: number): Record<string, unknown> {
  const { name, account, scope, expires } = values
  const wanted = Array.isArray(scope) ? scope : undefined
  for (const each of wanted ?? []) {
    if (!(scopes as readonly string[]).includes(each)) {
      throw new UsageError(`--scope: there is no scope "${each}".${didYouMean(each, scopes)}`)
    }
  }
  return {
    name: typeof name === 'string' ? name : 'key',
    ...(typeof account === 'string' ? { account } : {}),
    ...(wanted === undefined ? {} : { scopes: wanted }),
    ...(typeof expires === 'string' ? { expires_at: expiryOf(expires, now) } : {}),
  }
}

const unitMs: Readonly<Record<string, number>> = { min: 60_000, h: 3_600_000, d: 86_400_000 }

/** An ISO time, from a span or a date. */
export function expiryOf(text: string, now: number): string {
  const span = /^(\d{1,6})(min|h|d)$/.exec(text)
  const date = isDate(text) ? Date.parse(text) : Number.NaN
  const at = span ? now + Number(span[1]) * (unitMs[span[2] ?? ''] ?? 0) : date
  if (at > now) return new Date(at).toISOString()
  const why = at <= now ? 'that is in the past' : 'expected 90d, 12h, 30min or a date'
  throw new UsageError(`--expires: ${why}: "${text}".`)
}

/** ISO 8601, of a day that exists: `Date.parse` alone takes February 31st, and much else. */
function isDate(text: string): boolean {
  const day = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/.exec(text)?.[1]
  const at = Date.parse(day ?? '')
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day ?? '')
}

function keyOf(value: unknown): KeyRow {
  const row = value as Partial<KeyRow> | null
  if (typeof row?.id === 'string' && Array.isArray(row.scopes)) return row as KeyRow
  throw new CommandError('The peer answered with something that is no key.')
}

const columns: readonly Column[] = [
  { title: 'ID' },
  { title: 'NAME', shrink: true },
  { title: 'KEY' },
  { title: 'ACCOUNT' },
  { title: 'SCOPES' },
  { title: 'CREATED' },
  { title: 'LAST USED' },
  { title: 'EXPIRES' },
]

function listLines(keys: readonly KeyRow[], io: Io): string[] {
  const rows = keys.map((key) => [
    key.id,
    key.name,
    `${key.prefix}…`,
    key.account,
    scopesText(key.scopes),
    dateText(key.created_at),
    dateText(key.last_used_at),
    key.revoked_at === null ? dateText(key.expires_at) : 'revoked',
  ])
  return table(columns, rows, tableWidthOf(io.stdout), paintFor(io.stdout, io.env))
}

function scopesText(given: readonly string[]): string {
  const missing = scopes.filter((scope) => !given.includes(scope))
  if (missing.length === 0) return 'all'
  return missing.length === 1 ? `all but ${missing[0]}` : given.join(' ')
}

/** To the minute, in UTC. */
const dateText = (time: string | null): string =>
  time === null ? '-' : time.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ')
