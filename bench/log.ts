import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type AppendRound, appendRound } from './log/append.ts'
import { ingestRounds } from './log/ingest.ts'
import { fill, type Started, start } from './log/start.ts'
import { machineFacts } from './machine.ts'
import { type Cell, keep } from './results.ts'
import { median, quantile, rounded } from './statistics.ts'

/** Aims, in this project's own words. */
const aims = { ingest: 0.6, append: 2.5, startMs: 1000, memoryMb: 200 }

/** Turns of 50 appends each: enough for a p99. */
const APPEND_TURNS = 10

/** What the log costs: taking in what others did, writing down the own work, a start with much of it. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      entries: { type: 'string', default: '1000000' },
    },
  })
  const rounds = Number(values.rounds)
  const entries = Number(values.entries)
  const machine = machineFacts()
  const ingest = await ingestRounds(rounds)
  const append = await appendRound(APPEND_TURNS)
  const starts = await startRounds(entries, rounds)
  keep({
    name: 'log',
    about:
      'Ingest is a peer that takes in other peers’ entries: head, tree, one receipt an entry, and the ' +
      'disk; the ceiling is verifying a signature an entry and doing nothing else. An append is an ' +
      'entry on the disk under a signed head. Start and memory are of a process that only has the ' +
      'logs, with that many entries and with none. Medians of the rounds.',
    machine,
    settings: { rounds, entries, aims },
    tables: [
      {
        title: 'Ingest',
        columns: [
          ...['', 'ingest / ceiling', 'aim', 'by processor time'],
          ...['entries a second', 'ceiling a second', 'CPU µs an entry', 'CPU µs a signature'],
        ],
        rows: [
          [
            'batches of 56',
            rounded(median(ingest.map((round) => round.ingested / round.ceiling))),
            aims.ingest,
            rounded(median(ingest.map((round) => round.verifyCpuUs / round.ingestCpuUs))),
            rounded(median(ingest.map((round) => round.ingested))),
            rounded(median(ingest.map((round) => round.ceiling))),
            rounded(median(ingest.map((round) => round.ingestCpuUs))),
            rounded(median(ingest.map((round) => round.verifyCpuUs))),
          ],
        ],
      },
      appendTable(append),
      startTable(starts, entries),
    ],
    raw: { ingest, append, starts },
  })
}

interface Starts {
  empty: Started[]
  full: Started[]
}

async function startRounds(entries: number, rounds: number): Promise<Starts> {
  const work = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const starts: Starts = { empty: [], full: [] }
  try {
    await fill(join(work, 'empty'), 0)
    await fill(join(work, 'full'), entries)
    for (let round = 0; round < rounds; round++) {
      starts.empty.push(await start(join(work, 'empty')))
      starts.full.push(await start(join(work, 'full')))
    }
    return starts
  } finally {
    await rm(work, { recursive: true })
  }
}

function appendTable({ alone, ofEight, fdatasync }: AppendRound) {
  const disk = quantile(fdatasync, 0.99)
  const row = (name: string, values: readonly number[]): Cell[] => [
    name,
    rounded(quantile(values, 0.99) / disk),
    aims.append,
    rounded(quantile(values, 0.5)),
    rounded(quantile(values, 0.99)),
  ]
  return {
    title: 'Append',
    columns: ['', 'p99 / fdatasync p99', 'aim', 'p50 ms', 'p99 ms'],
    rows: [
      row('alone', alone),
      row('eight at a time', ofEight),
      ['fdatasync', 1, '', rounded(quantile(fdatasync, 0.5)), rounded(disk)],
    ],
  }
}

function startTable({ empty, full }: Starts, entries: number) {
  const of = (starts: readonly Started[], figure: (it: Started) => number) =>
    rounded(median(starts.map(figure)))
  const row = (name: string, starts: readonly Started[]): Cell[] => {
    const memory = of(starts, (it) => it.askedMb) - of(empty, (it) => it.startMb)
    return [
      name,
      rounded(of(starts, (it) => it.startMs) / aims.startMs),
      rounded(memory / aims.memoryMb),
      of(starts, (it) => it.startMs),
      of(starts, (it) => it.startMb),
      of(starts, (it) => it.askedMb),
      of(starts, (it) => it.proofMs[0]),
      of(starts, (it) => it.proofMs[1]),
      of(starts, (it) => it.findMs[0]),
      of(starts, (it) => it.findMs[1]),
    ]
  }
  return {
    title: 'Start',
    columns: [
      'entries',
      ...['start / aim', 'memory above none / aim'],
      ...['start ms', 'MB', 'MB after 2,000 proofs'],
      ...['proof p50 ms', 'proof p99 ms', 'look-up p50 ms', 'look-up p99 ms'],
    ],
    rows: [row('none', empty), row(String(entries), full)],
  }
}
