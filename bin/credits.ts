import type { Command, Input, Option } from './command.ts'
import { numberOf } from './command.ts'
import { CommandError, exitCodes, type Io, print, tableWidthOf, UsageError } from './io.ts'
import { expiryOf } from './keys.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, labelled, paintFor, safeJson, table } from './text.ts'

const path = '/api/v1/credits'
/** Of a peer that has much to add up. */
const AUDIT_MS = 600_000

const accountOption: Option = {
  name: 'account',
  placeholder: 'ACCOUNT',
  help: 'Whose.',
  defaultText: "the owner's",
}

const limitOption: Option = {
  name: 'limit',
  placeholder: 'N',
  help: 'How many lines, 100 at most.',
  defaultText: '20',
}

interface Transaction {
  id: string
  type: string
  amount: number
  balance: number
  created_at: string
  model: string | null
  job_id: string | null
  expires_at: string | null
}

interface List<T> {
  data: T[]
  has_more: boolean
}

export const credits: Command = {
  name: 'credits',
  summary: 'Show what an account of the running peer can spend, and where that came from and went.',
  options: [accountOption, limitOption],
  details: [
    'All in micro-credits. What is at work has credits set aside for it until it is known what it ' +
      'came to. See also "credits grant", "credits audit" and "credits owed".',
  ],
  examples: [
    ['pinaivu-peer credits', "The owner's credits, and the last 20 transactions"],
    ['pinaivu-peer credits --account alice --json', "For programs: one object, alice's"],
  ],
  async run(input, io) {
    const query = queryOf(input, ['account'])
    const listed = `${path}/ledger${queryOf(input, ['account', 'limit'])}`
    const { client } = await requirePeer(input.dataDir, io.signal)
    const { signal } = io
    const balance = objectOf(await client.json('GET', `${path}${query}`, { signal }))
    const ledger = listOf<Transaction>(await client.json('GET', listed, { signal }))
    if (input.json) {
      print(io.stdout, safeJson({ ...balance, ledger: ledger.data }))
      return exitCodes.done
    }
    const { account, available_credits: available, reserved_credits: reserved } = balance
    const paint = paintFor(io.stdout, io.env)
    const rows = [
      ['account', [`${account}`]],
      ['available', [creditsText(available)]],
      ['set aside', [creditsText(reserved)]],
    ] as const
    print(io.stdout, ...labelled(rows, paint), '', ...ledgerLines(ledger.data, io))
    return exitCodes.done
  },
}

export const creditsGrant: Command = {
  name: 'credits grant',
  operands: 'ACCOUNT N',
  operandsMax: 2,
  summary: 'Grant an account N micro-credits.',
  options: [
    {
      name: 'expires',
      placeholder: 'WHEN',
      help: 'A time from now (90d, 12h, 30min) or a date (2027-01-31).',
      defaultText: 'never',
    },
  ],
  details: ['What expires first is spent first. The account need not have a key yet.'],
  examples: [
    ['pinaivu-peer credits grant alice 5000000', 'Five credits, for good'],
    ['pinaivu-peer credits grant alice 5000000 --expires 30d', 'To be spent within 30 days'],
  ],
  async run(input, io) {
    const body = grantOf(input, Date.now())
    const { client } = await requirePeer(input.dataDir, io.signal)
    const { signal } = io
    const made = objectOf(await client.json('POST', `${path}/grants`, { signal, body }))
    const said = `${made.account} has ${creditsText(made.balance)} micro-credits now.`
    print(io.stdout, input.json ? safeJson(made) : said)
    return exitCodes.done
  },
}

function grantOf({ operands, values }: Input, now: number): Record<string, unknown> {
  const [account, text] = operands
  const amount = /^\d{1,16}$/.test(text ?? '') ? Number(text) : 0
  if (account === undefined || text === undefined) {
    throw new UsageError('"credits grant" needs an account and a number: credits grant alice 500')
  }
  if (!Number.isSafeInteger(amount) || amount < 1) {
    throw new UsageError(`N: expected a whole number of micro-credits, got "${text}".`)
  }
  const { expires } = values
  const end = typeof expires === 'string' ? { expires_at: expiryOf(expires, now) } : {}
  return { account, amount, ...end }
}

export const creditsAudit: Command = {
  name: 'credits audit',
  summary:
    'Recompute every balance from its entries, and hold every charge against the log, and the log against them.',
  options: [],
  details: ['The exit code is 1 where something does not add up.'],
  examples: [
    ['pinaivu-peer credits audit', 'All balances together are 0, or what is wrong'],
    ['pinaivu-peer credits audit --json', 'For programs: one object'],
  ],
  async run(input, io) {
    const { client } = await requirePeer(input.dataDir, io.signal)
    const ask = { signal: io.signal, withinMs: AUDIT_MS }
    const report = objectOf(await client.json('GET', `${path}/audit`, ask))
    print(io.stdout, ...(input.json ? [safeJson(report)] : auditLines(report, io)))
    return report.ok === true ? exitCodes.done : exitCodes.failed
  },
}

function auditLines(report: Record<string, unknown>, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  const balances = (report.balances ?? {}) as Record<string, number>
  const charges = (report.charges ?? {}) as Record<string, number>
  const problems = Array.isArray(report.problems) ? report.problems.map(String) : []
  const rows: [string, string[]][] = [
    ['accounts', [`${report.accounts}, with ${report.entries} entries`]],
    ['charges', [`${charges.matched} as in the log, ${charges.without_entry} no longer in it`]],
    ...Object.entries(balances).map(([name, each]): [string, string[]] => [
      name,
      [creditsText(each)],
    ]),
    ['sum', [`${report.sum}`]],
    ...(problems.length > 0 ? [['wrong', problems] as [string, string[]]] : []),
  ]
  const verdict = report.ok === true ? paint('green', 'Everything adds up.') : 'It does not add up.'
  return [...labelled(rows, paint), '', verdict]
}

interface PeerBalance {
  id: string
  owed_to_peer: number
  owed_by_peer: number
  acknowledged_by_peer: number
}

export const creditsOwed: Command = {
  name: 'credits owed',
  summary: 'Show what this peer and others owe each other for work.',
  options: [
    limitOption,
    { name: 'after', placeholder: 'PEER', help: 'Only peers whose ids come after this one.' },
  ],
  details: [
    'WE OWE is for all their work for this peer, as its log says; THEY OWE for its work for them, by ' +
      'its own count, ACKNOWLEDGED what they said they got of that. Nothing here moves money.',
  ],
  examples: [
    ['pinaivu-peer credits owed', 'Both sides of each peer, in micro-credits'],
    ['pinaivu-peer credits owed --json --limit 100', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const asked = `${path}/owed${queryOf(input, ['limit', 'after'], { order: 'asc' })}`
    const { client } = await requirePeer(input.dataDir, io.signal)
    const answer = await client.json('GET', asked, { signal: io.signal })
    const { data, has_more: hasMore } = listOf<PeerBalance>(answer)
    const rows = data.map((each) => [
      each.id,
      creditsText(each.owed_to_peer),
      creditsText(each.owed_by_peer),
      creditsText(each.acknowledged_by_peer),
    ])
    const width = tableWidthOf(io.stdout)
    const lines = table(owedColumns, rows, width, paintFor(io.stdout, io.env))
    const more = hasMore ? [`More with --after ${data.at(-1)?.id}.`] : []
    print(io.stdout, ...(input.json ? [safeJson(data)] : [...lines, ...more]))
    return exitCodes.done
  },
}

const owedColumns: readonly Column[] = [
  { title: 'PEER', shrink: true },
  { title: 'WE OWE', align: 'right' },
  { title: 'THEY OWE', align: 'right' },
  { title: 'ACKNOWLEDGED', align: 'right' },
]

const ledgerColumns: readonly Column[] = [
  { title: 'WHEN' },
  { title: 'WHAT' },
  { title: 'AMOUNT', align: 'right' },
  { title: 'BALANCE', align: 'right' },
  { title: 'FOR', shrink: true },
]

function ledgerLines(rows: readonly Transaction[], io: Io): string[] {
  const cells = rows.map((row) => [
    row.created_at.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' '),
    row.type,
    creditsText(row.amount),
    creditsText(row.balance),
    row.model ?? (row.expires_at === null ? '' : `until ${row.expires_at.slice(0, 10)}`),
  ])
  return table(ledgerColumns, cells, tableWidthOf(io.stdout), paintFor(io.stdout, io.env))
}

/** In groups of three. */
const creditsText = (credits: unknown): string => Number(credits).toLocaleString('en-US')

export function queryOf(
  input: Input,
  names: readonly string[],
  more: Record<string, string> = {},
): string {
  if (names.includes('limit')) numberOf(input, 'limit', { min: 1, max: 100, whole: true })
  const query = new URLSearchParams(more)
  for (const name of names) {
    const value = input.values[name]
    if (typeof value === 'string') query.set(name.replaceAll('-', '_'), value)
  }
  return query.size === 0 ? '' : `?${query}`
}

export function objectOf(answer: unknown): Record<string, unknown> {
  if (typeof answer === 'object' && answer !== null) return answer as Record<string, unknown>
  throw new CommandError('The peer answered with something else than was asked for.')
}

function listOf<T>(answer: unknown): List<T> {
  const { data, has_more: hasMore } = objectOf(answer)
  if (!Array.isArray(data)) throw new CommandError('The peer answered with no list.')
  return { data: data as T[], has_more: hasMore === true }
}
