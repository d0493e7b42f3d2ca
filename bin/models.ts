import type { Command } from './command.ts'
import { exitCodes, type Io, print, tableWidthOf } from './io.ts'
import { countText } from './model-text.ts'
import { type ModelRow, readState } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, paintFor, safeJson, safeLine, table } from './text.ts'

export const models: Command = {
  name: 'models',
  aliases: ['models list'],
  summary: 'List the models that the running peer serves.',
  options: [],
  examples: [
    ['pinaivu-peer models', 'Name, state, size and speed of each'],
    ['pinaivu-peer models --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const { client } = await requirePeer(input.dataDir, io.signal)
    const { models: rows } = await readState(client, io.signal)
    print(io.stdout, ...(input.json ? [safeJson(rows)] : modelLines(rows, io)))
    return exitCodes.done
  },
}

const columns: readonly Column[] = [
  { title: 'NAME', shrink: true },
  { title: 'STATE' },
  { title: 'KIND' },
  { title: 'PARAMETERS', align: 'right' },
  { title: 'QUANT' },
  { title: 'CONTEXT', align: 'right' },
  { title: 'SLOTS', align: 'right' },
  { title: 'TOK/S', align: 'right' },
]

/** A table of models, and under it why those that failed did. */
export function modelLines(rows: readonly ModelRow[], io: Pick<Io, 'stdout' | 'env'>): string[] {
  if (rows.length === 0) return ['This peer serves no model. Start it with --model FILE.']
  const paint = paintFor(io.stdout, io.env)
  const failed = rows.filter((row) => row.state === 'failed')
  return [
    ...table(columns, rows.map(cellsOf), tableWidthOf(io.stdout), paint),
    ...failed.map(({ name, error }) => {
      const why = error?.message ?? error?.code ?? 'no reason is known'
      return `${paint('red', 'failed')} ${safeLine(`${name}: ${why}`)}`
    }),
  ]
}

function cellsOf(row: ModelRow): string[] {
  const progress = row.state === 'loading' ? row.progress : null
  return [
    row.demo ? `${row.name} (demo)` : row.name,
    typeof progress === 'number' ? `${row.state} ${Math.floor(progress * 100)}%` : row.state,
    row.kind ?? '-',
    row.parameters === null ? '-' : countText(row.parameters),
    row.quant ?? '-',
    numberText(row.context_length),
    numberText(row.slots),
    row.tokens_per_second === null ? '-' : row.tokens_per_second.toFixed(1),
  ]
}

const numberText = (value: number | null): string => (value === null ? '-' : String(value))
