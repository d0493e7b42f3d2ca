import type { Command } from './command.ts'
import { numberOf } from './command.ts'
import { objectOf, queryOf } from './credits.ts'
import { exitCodes, type Io, print, tableWidthOf } from './io.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, labelled, paintFor, safeJson, table } from './text.ts'

interface Counts {
  requests: number
  failed_requests: number
  input_tokens: number
  output_tokens: number
  cost: number
}

export const usage: Command = {
  name: 'usage',
  summary: 'Show what an account of the running peer has used: in all, by model, day and key.',
  options: [
    { name: 'account', placeholder: 'ACCOUNT', help: 'Whose.', defaultText: "the owner's" },
    {
      name: 'days',
      placeholder: 'N',
      help: 'So many days, the last one included.',
      defaultText: '30',
    },
    { name: 'start-date', placeholder: 'DAY', help: 'Instead: the first day (UTC), 2027-01-31.' },
    { name: 'end-date', placeholder: 'DAY', help: 'The last day.', defaultText: 'today' },
    { name: 'model', placeholder: 'MODEL', help: 'Of this model alone.' },
  ],
  details: ['COST is in micro-credits. Requests that failed are among the REQUESTS.'],
  examples: [
    ['pinaivu-peer usage', "The owner's, of the last 30 days"],
    ['pinaivu-peer usage --account alice --days 7 --json', 'For programs: one object'],
  ],
  async run(input, io) {
    numberOf(input, 'days', { min: 1, max: 400, whole: true })
    const query = queryOf(input, ['account', 'days', 'start-date', 'end-date', 'model'])
    const { client } = await requirePeer(input.dataDir, io.signal)
    const answer = await client.json('GET', `/v1/usage${query}`, { signal: io.signal })
    const report = objectOf(answer)
    print(io.stdout, ...(input.json ? [safeJson(report)] : usageLines(report, io)))
    return exitCodes.done
  },
}

const columns = (title: string): readonly Column[] => [
  { title, shrink: true },
  { title: 'REQUESTS', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'READ', align: 'right' },
  { title: 'WRITTEN', align: 'right' },
  { title: 'COST', align: 'right' },
]

function usageLines(report: Record<string, unknown>, io: Io): string[] {
  const paint = paintFor(io.stdout, io.env)
  const head = labelled(
    [
      ['account', [`${report.account}`]],
      ['days', [`${report.start_date} to ${report.end_date}`]],
      ['requests', [`${report.total_requests}, of which ${report.failed_requests} failed`]],
      ['tokens', [`${report.total_input_tokens} read, ${report.total_output_tokens} written`]],
      ['cost', [`${report.total_cost} micro-credits`]],
    ],
    paint,
  )
  const part = (title: string, list: unknown, name: string): string[] => {
    const rows = Array.isArray(list) ? (list as (Counts & Record<string, unknown>)[]) : []
    if (rows.length === 0) return []
    const cells = rows.map((row) => [
      `${row[name]}`,
      ...[row.requests, row.failed_requests, row.input_tokens, row.output_tokens, row.cost].map(
        String,
      ),
    ])
    return ['', ...table(columns(title), cells, tableWidthOf(io.stdout), paint)]
  }
  return [
    ...head,
    ...part('MODEL', report.by_model, 'model'),
    ...part('DAY', report.by_day, 'date'),
    ...part('KEY', report.by_key, 'key_id'),
  ]
}
