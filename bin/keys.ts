import { didYouMean, scopes } from '../src/index.ts'
import type { Command, Input } from './command.ts'
import type { HttpClient } from './http-client.ts'
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
  credit_limit: number | null
  rpm_limit: number | null
  tpm_limit: number | null
  concurrency_limit: number | null
  jurisdiction: string | null
  overlap_ends_at: string | null
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
    const keys = await allKeys(client, io.signal)
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
    {
      name: 'credit-limit',
      placeholder: 'N',
      help: 'Micro-credits that it may spend, in all.',
      defaultText: 'none',
    },
    { name: 'rpm', placeholder: 'N', help: 'Requests a minute.', defaultText: 'no limit' },
    {
      name: 'tpm',
      placeholder: 'N',
      help: 'Tokens a minute, read and written.',
      defaultText: 'no limit',
    },
    {
      name: 'concurrency',
      placeholder: 'N',
      help: 'Requests at a time.',
      defaultText: 'no limit',
    },
    {
      name: 'jurisdiction',
      placeholder: 'CC',
      help: 'For requests that name none: a country (DE), or EU for any of its members.',
      defaultText: 'anywhere',
    },
  ],
  examples: [
    ['pinaivu-peer keys create --name laptop', 'A key with all scopes but keys:manage'],
    [
      'pinaivu-peer keys create --name app --account alice --scope inference --expires 90d',
      "A key of alice's that only answers, for 90 days",
    ],
    [
      'pinaivu-peer keys create --name demo --rpm 60 --tpm 40000 --concurrency 4',
      'A key that can be given away',
    ],
  ],
  async run(input, io) {
    const body = creation(input, Date.now())
    const { client } = await requirePeer(input.dataDir, io.signal)
    const made = keyOf(await client.json('POST', path, { signal: io.signal, body }))
    const note = `Key "${made.name}" for account ${made.account}. Keep it: it is not shown again.`
    showSecret(made, note, input, io)
    return exitCodes.done
  },
}

export const keysRotate: Command = {
  name: 'keys rotate',
  summary: 'Replace an API key by a new one with the same id, rights and limits.',
  operands: 'ID',
  operandsMax: 1,
  options: [
    {
      name: 'overlap',
      placeholder: 'SPAN',
      help: 'How long the replaced key goes on to work (7d, 12h, 30min, 0).',
      defaultText: '24h',
    },
  ],
  examples: [
    ['pinaivu-peer keys rotate key_01…', 'Both keys work for a day; the ids are in "keys list"'],
    ['pinaivu-peer keys rotate key_01… --overlap 0', 'The old one ends at once: it leaked'],
  ],
  async run(input, io) {
    const { overlap } = input.values
    const body = typeof overlap === 'string' ? { overlap_seconds: overlapOf(overlap) } : {}
    const id = idOf(input)
    const { client } = await requirePeer(input.dataDir, io.signal)
    const rotated = keyOf(
      await client.json('POST', `${path}/${id}/rotate`, { signal: io.signal, body }),
    )
    const until = dateText(rotated.overlap_ends_at)
    const old = until === '-' ? 'ended just now' : `works until ${until} UTC`
    const note = `Key "${rotated.name}" has a new secret; the old one ${old}. Keep it: it is not shown again.`
    showSecret(rotated, note, input, io)
    return exitCodes.done
  },
}

export const keysRevoke: Command = {
  name: 'keys revoke',
  summary: 'End an API key, at once and for ever.',
  operands: 'ID',
  operandsMax: 1,
  options: [],
  examples: [['pinaivu-peer keys revoke key_01…', 'The ids are in "keys list"']],
  async run(input, io) {
    const id = idOf(input)
    const { client } = await requirePeer(input.dataDir, io.signal)
    const revoked = keyOf(await client.json('DELETE', `${path}/${id}`, { signal: io.signal }))
    const line = `Key "${revoked.name}" of account ${revoked.account} is revoked.`
    print(io.stdout, input.json ? safeJson(revoked) : safeLine(line))
    return exitCodes.done
  },
}

function idOf({ operands }: Input): string {
  const [id] = operands
  if (id !== undefined && /^key_[0-9a-z]{1,64}$/.test(id)) return id
  throw new UsageError('Say which key by its id, key_…; "pinaivu-peer keys list" shows them.')
}

/** The key alone is on stdout, for KEY=$(pinaivu-peer keys create). */
function showSecret(made: KeyRow, note: string, { json }: Input, io: Io): void {
  if (made.key === undefined) throw new CommandError('The peer made a key but did not show it.')
  print(io.stdout, ...(json ? [safeJson(made)] : [safeLine(made.key)]))
  if (!json) print(io.stderr, safeLine(note))
}

/** More than a peer holds. */
const PAGES_MAX = 1_000

async function allKeys(client: HttpClient, signal: AbortSignal): Promise<KeyRow[]> {
  const keys: KeyRow[] = []
  for (let page = 0, after = ''; page < PAGES_MAX; page++) {
    const answer = (await client.json('GET', `${path}?order=asc&limit=100${after}`, {
      signal,
    })) as { data?: unknown; has_more?: unknown } | null
    if (Array.isArray(answer?.data)) keys.push(...answer.data.map(keyOf))
    const last = keys.at(-1)
    if (answer?.has_more !== true || last === undefined) break
    after = `&after=${encodeURIComponent(last.id)}`
  }
  return keys
}

function creation({ values }: Input, now: number): Record<string, unknown> {
  const { name, account, scope, expires, jurisdiction } = values
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
    ...(typeof jurisdiction === 'string' ? { jurisdiction } : {}),
    ...countOf(values, 'credit-limit', 'credit_limit', 0),
    ...countOf(values, 'rpm', 'rpm_limit', 1),
    ...countOf(values, 'tpm', 'tpm_limit', 1),
    ...countOf(values, 'concurrency', 'concurrency_limit', 1),
  }
}

function countOf(values: Input['values'], option: string, field: string, least: number): object {
  const text = values[option]
  if (typeof text !== 'string') return {}
  const count = /^\d{1,15}$/.test(text) ? Number(text) : -1
  if (count >= least) return { [field]: count }
  throw new UsageError(`--${option}: expected a whole number from ${least} on: "${text}".`)
}

/** Seconds. */
export function overlapOf(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})(min|h|d)$/.exec(text) ?? []
  if (count !== undefined) return (Number(count) * (unitMs[unit] ?? 0)) / 1000
  if (text === '0') return 0
  throw new UsageError(`--overlap: expected 7d, 12h, 30min or 0: "${text}".`)
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
  { title: 'LIMITS' },
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
    limitsText(key),
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

function limitsText(key: KeyRow): string {
  const { credit_limit: credits, rpm_limit: rpm, tpm_limit: tpm, concurrency_limit: jobs } = key
  const parts = [
    credits == null ? '' : `${credits} credits`,
    rpm == null ? '' : `${rpm} rpm`,
    tpm == null ? '' : `${tpm} tpm`,
    jobs == null ? '' : `${jobs} at a time`,
    key.jurisdiction ?? '',
  ]
  return parts.filter((part) => part !== '').join(', ') || '-'
}

/** To the minute, in UTC. */
const dateText = (time: string | null): string =>
  time === null ? '-' : time.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ')
