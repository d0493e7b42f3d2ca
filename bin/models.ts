import type { Command } from './command.ts'
import type { HttpClient } from './http-client.ts'
import { columnsOf, exitCodes, type Io, print, tableWidthOf } from './io.ts'
import { countText } from './model-text.ts'
import { loadText, priceText, readPeers } from './network-peers.ts'
import { type OfferedModel, offeredModels } from './offered-models.ts'
import { readOffers, readState } from './peer-state.ts'
import { requirePeer } from './running-peer.ts'
import { type Column, paintFor, safeJson, safeLine, table, wrap } from './text.ts'

export const models: Command = {
  name: 'models',
  summary:
    'List the models that can be asked through the running peer: its own and those of others.',
  options: [],
  details: [
    'STATE is that of a model of this peer, or "network" where only others serve it. LOAD is ' +
      'running jobs and slots of all peers that serve it, as far as they tell, and behind a plus ' +
      'what waits; PRICE is micro-credits per 1,000 tokens read and written; NODES is how many ' +
      'serve it.',
  ],
  examples: [
    ['pinaivu-peer models', 'Name, state, size, load and price of each'],
    ['pinaivu-peer models --json', 'For programs: an array of objects'],
  ],
  async run(input, io) {
    const { client } = await requirePeer(input.dataDir, io.signal)
    const rows = await readModels(client, io.signal)
    print(io.stdout, ...(input.json ? [safeJson(rows)] : modelLines(rows, io)))
    return exitCodes.done
  },
}

async function readModels(client: HttpClient, signal: AbortSignal): Promise<OfferedModel[]> {
  const [offers, state, peers] = await Promise.all([
    readOffers(client, signal),
    readState(client, signal),
    readPeers(client, signal),
  ])
  return offeredModels(offers, state.models, [peers.self, ...peers.others])
}

/** A name, or what else another peer says of its model, gets no more of a line than this. */
const claimWidthMax = 40
const figureWidthMax = 16

const columns: readonly Column[] = [
  { title: 'NAME', widthMax: claimWidthMax, shrink: true },
  { title: 'STATE', widthMax: figureWidthMax },
  { title: 'KIND', widthMax: figureWidthMax },
  { title: 'PARAMS', widthMax: figureWidthMax, align: 'right' },
  { title: 'QUANT', widthMax: figureWidthMax },
  { title: 'CONTEXT', widthMax: figureWidthMax, align: 'right' },
  { title: 'TOK/S', widthMax: figureWidthMax, align: 'right' },
  { title: 'LOAD', widthMax: figureWidthMax, align: 'right' },
  { title: 'PRICE', widthMax: figureWidthMax, align: 'right' },
  { title: 'NODES', widthMax: figureWidthMax, align: 'right' },
]

/** A table of models, and under it why those that failed did. */
export function modelLines(
  rows: readonly OfferedModel[],
  io: Pick<Io, 'stdout' | 'env'>,
): string[] {
  if (rows.length === 0) {
    const text =
      'This peer serves no model, and knows no other that does. Start it with --model FILE, or join ' +
      'others with --bootstrap or --mdns.'
    return wrap(text, columnsOf(io.stdout))
  }
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

function cellsOf(row: OfferedModel): string[] {
  const progress = row.state === 'loading' ? row.progress : null
  return [
    row.demo ? `${row.name} (demo)` : row.name,
    typeof progress === 'number' ? `${row.state} ${Math.floor(progress * 100)}%` : row.state,
    row.kind ?? '-',
    row.parameters ? countText(row.parameters) : '-',
    row.quant || '-',
    row.context_length === null ? '-' : String(row.context_length),
    row.tokens_per_second === null ? '-' : row.tokens_per_second.toFixed(1),
    loadText(row.slots === null ? null : { ...row, slots: row.slots }),
    priceText(row.price === null ? [] : [row.price]),
    String(row.nodes),
  ]
}
