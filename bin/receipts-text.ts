import type { ReceiptReport } from '../src/sdk/index.ts'
import { CommandError, columnsOf, type Io } from './io.ts'
import { shortId } from './network-peers.ts'
import { type Column, labelled, paintFor, safeLine, table, wrap } from './text.ts'

/** A receipt as the peer's lists have it, as far as commands show it. */
export interface ReceiptRow {
  cid: string
  status: string
  node: string
  model: string | null
  tokens: { input: number; output: number } | null
  created_at: string
  verified: boolean
}

/** One by itself. */
export interface ShownReceipt extends ReceiptRow {
  multiformats_cid: string
  entry_cid: string | null
  final_cid: string | null
  verdict: string | null
  dispute: string | null
  coordinator: string | null
}

/** A check of what is relied on; the rest is only shown. */
export function receiptRow(value: unknown): ReceiptRow {
  const { cid, status, node, created_at, model } = (value ?? {}) as Partial<ReceiptRow>
  const texts = [cid, status, node, created_at]
  const isRow = texts.every((each) => typeof each === 'string')
  if (isRow && (model === null || typeof model === 'string')) return value as ReceiptRow
  throw new CommandError('The peer answered with something that is no receipt.')
}

const columns: readonly Column[] = [
  { title: 'CID', widthMax: 80, shrink: true },
  { title: 'TIME', widthMax: 16 },
  { title: 'STATUS', widthMax: 16 },
  { title: 'NODE', widthMax: 16 },
  { title: 'MODEL', widthMax: 40, shrink: true },
  { title: 'TOKENS', widthMax: 20, align: 'right' },
  { title: 'CHECKED', widthMax: 8 },
]

export function receiptLines(rows: readonly ReceiptRow[], io: Io, width: number): string[] {
  if (rows.length === 0) return ['No receipt yet: each answer leaves one.']
  const cells = rows.map((row) => [
    row.cid,
    minuteOf(row.created_at),
    row.status,
    shortId(row.node),
    row.model ?? '-',
    tokensText(row.tokens),
    row.verified === true ? 'ok' : 'NOT OK',
  ])
  return table(columns, cells, width, paintFor(io.stdout, io.env))
}

/** To the minute, in UTC. */
const minuteOf = (time: string): string =>
  time.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ')

const tokensText = (tokens: ReceiptRow['tokens']): string =>
  typeof tokens?.input === 'number' ? `${tokens.input} + ${tokens.output}` : '-'

/** What a receipt says; what of it is proved, the report says. */
export function shownLines(receipt: ShownReceipt, io: Io): string[] {
  const { verdict, dispute, tokens } = receipt
  const judged = dispute == null ? verdict : `${verdict}: ${dispute}`
  const rows: [label: string, value: unknown][] = [
    ['CID', receipt.cid],
    ['As CIDv1', receipt.multiformats_cid],
    ['Entry', receipt.entry_cid],
    ['Status', receipt.status],
    ['Final', receipt.final_cid],
    ['Node', receipt.node],
    ['Model', receipt.model],
    ['Tokens', tokens == null ? null : `${tokensText(tokens)} (read + written)`],
    ['Time', receipt.created_at],
    ['Asked by', receipt.coordinator],
    ['Verdict', judged],
  ]
  const known = rows.flatMap(([label, value]): [string, string[]][] =>
    typeof value === 'string' ? [[label, [value]]] : [],
  )
  return labelled(known, paintFor(io.stdout, io.env))
}

/** What holds, what does not, and what nobody can tell from it. */
export function reportLines(report: ReceiptReport, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  const width = columnsOf(io.stdout)
  const verdict = report.holds
    ? paint('green', 'All of it holds.')
    : paint('red', 'It does not hold.')
  return [
    `${verdict} ${safeLine(report.cid)}`,
    '',
    paint('bold', 'Checked:'),
    ...report.findings.flatMap(({ holds, says }) =>
      item(holds ? paint('green', 'yes') : paint('red', 'NO '), says, width),
    ),
    '',
    paint('bold', 'Not proved by it:'),
    ...report.unproved.flatMap((says) => item(' - ', says, width)),
  ]
}

/** The mark takes three columns. */
function item(mark: string, text: string, width: number): string[] {
  const margin = ' '.repeat(7)
  return wrap(safeLine(text), width - margin.length).map((line, at) =>
    at === 0 ? `  ${mark}  ${line}` : margin + line,
  )
}
