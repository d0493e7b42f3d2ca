import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type AppendRound, appendRounds } from './log/append.ts'
import { type IngestRound, ingestRounds } from './log/ingest.ts'
import { fill, LOGS, type Started, type StartedPeer, start, startWholePeer } from './log/start.ts'
import { MISSING, type SyncRound, syncRounds } from './log/sync.ts'
import { machineFacts } from './machine.ts'
import { type Cell, keep, type Table } from './results.ts'
import { median, quantile, rounded } from './statistics.ts'

/** Aims, in this project's own words. */
const aims = {
  ...{ ingest: 0.6, append: 2.5, startMs: 1000, memoryMb: 200 },
  ...{ roundTrips: 4, overheadKb: 150, syncCpuMs: 500 },
}

/** Turns of 50 appends at least: enough for a p99. */
const APPEND_TURNS = 40

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
  const append = await appendRounds(APPEND_TURNS)
  const { fillMs, sync, starts } = await roundsWithMany(entries, rounds)
  keep({
    name: 'log',
    about:
      'Ingest is a peer that takes in other peers’ entries: head, tree, one receipt an entry, and the ' +
      'disk; the ceiling is verifying a signature an entry and doing nothing else, on as many threads. ' +
      'An append is an entry on the disk under a signed head; the fdatasync is of as many bytes. In a sync one peer gets 1,000 entries of ' +
      '100 of its 1,000 logs from another, with processor time of both. Logs are a process that only has the ' +
      'logs, with that many entries and with none, peers are whole ones. Medians of the rounds.',
    machine,
    settings: { rounds, entries, fillS: rounded(fillMs / 1000), aims },
    tables: [
      ingestTable(ingest),
      appendTable(append),
      syncTable(sync),
      ...startTables(starts, entries),
    ],
    raw: { ingest, append, sync, starts },
  })
}

interface Starts {
  logs: { empty: Started[]; full: Started[] }
  peers: { empty: StartedPeer[]; full: StartedPeer[] }
}

async function roundsWithMany(entries: number, rounds: number) {
  const work = await mkdtemp(join(tmpdir(), 'pinaivu-bench-log-'))
  const dirs = {
    empty: join(work, 'empty'),
    full: join(work, 'full'),
    behind: join(work, 'behind'),
  }
  const starts: Starts = { logs: { empty: [], full: [] }, peers: { empty: [], full: [] } }
  try {
    await fill(dirs.empty, 0)
    const began = performance.now()
    await fill(dirs.full, entries)
    const fillMs = performance.now() - began
    await cp(dirs.full, dirs.behind, { recursive: true })
    const sync = await syncRounds({ ahead: dirs.full, behind: dirs.behind, logs: LOGS }, rounds)
    for (let round = 0; round < rounds; round++) {
      for (const state of ['empty', 'full'] as const) {
        starts.logs[state].push(await start(dirs[state]))
        starts.peers[state].push(await startWholePeer(dirs[state]))
      }
    }
    return { starts, sync, fillMs }
  } finally {
    await rm(work, { recursive: true })
  }
}

function ingestTable(rounds: readonly IngestRound[]): Table {
  const of = (figure: (round: IngestRound) => number) => rounded(median(rounds.map(figure)))
  const row = (name: string, ceiling: 'allThreads' | 'oneThread'): Cell[] => [
    name,
    of((round) => round.ingest.perSecond / round[ceiling].perSecond),
    aims.ingest,
    of((round) => round[ceiling].cpuUs / round.ingest.cpuUs),
    of((round) => round.ingest.perSecond),
    of((round) => round[ceiling].perSecond),
    of((round) => round.ingest.cpuUs),
    of((round) => round[ceiling].cpuUs),
  ]
  return {
    title: 'Ingest',
    columns: [
      ...['ceiling', 'ingest / ceiling', 'aim', 'by processor time'],
      ...['entries a second', 'ceiling a second', 'CPU µs an entry', 'CPU µs a signature'],
    ],
    rows: [row('all threads', 'allThreads'), row('one thread', 'oneThread')],
  }
}

function appendTable(rounds: readonly AppendRound[]): Table {
  const ms = (values: readonly number[], part: number) => rounded(quantile(values, part))
  return {
    title: 'Append',
    columns: [
      ...['appenders', 'p99 / fdatasync p99', 'aim', 'p50 / fdatasync p50'],
      ...[
        'p50 ms',
        'p99 ms',
        'fdatasync p50 ms',
        'fdatasync p99 ms',
        'database alone p99 ms',
        'KB',
      ],
    ],
    rows: rounds.map(({ appenders, append, fdatasync, bytes, database }) => [
      appenders,
      rounded(quantile(append, 0.99) / quantile(fdatasync, 0.99)),
      aims.append,
      rounded(quantile(append, 0.5) / quantile(fdatasync, 0.5)),
      ...[append, fdatasync].flatMap((values) => [ms(values, 0.5), ms(values, 0.99)]),
      ms(database, 0.99),
      rounded(bytes / 1000),
    ]),
  }
}

function syncTable(rounds: readonly SyncRound[]): Table {
  const of = (figure: (round: SyncRound) => number) => median(rounds.map(figure))
  const [roundTrips, cpuMs] = [of((round) => round.roundTrips), of((round) => round.cpuMs)]
  const overheadKb = of((round) => round.overheadBytes / 1000)
  return {
    title: 'Sync',
    columns: [
      ...[
        'entries missing',
        'round trips / aim',
        'bytes beyond entries / aim',
        'processor time / aim',
      ],
      ...['round trips', 'KB beyond entries', 'KB of entries', 'processor ms', 'ms'],
    ],
    rows: [
      [
        MISSING,
        roundTrips / aims.roundTrips,
        ...[overheadKb / aims.overheadKb, cpuMs / aims.syncCpuMs].map(rounded),
        roundTrips,
        ...[overheadKb, of((round) => round.entryBytes / 1000), cpuMs].map(rounded),
        rounded(of((round) => round.ms)),
      ],
    ],
  }
}

function startTables({ logs, peers }: Starts, entries: number): Table[] {
  const middle = <T>(all: readonly T[], figure: (it: T) => number) => median(all.map(figure))
  const name = { empty: 'none', full: String(entries) }
  const states = ['empty', 'full'] as const
  const above = (more: number, less: number) => rounded(Math.max(0, more - less) / aims.memoryMb)
  const rowOfLogs = (state: (typeof states)[number]): Cell[] => {
    const of = (figure: (it: Started) => number) => middle(logs[state], figure)
    const empty = middle(logs.empty, (it) => it.asked.residentMb)
    const figures = [
      ...[of((it) => it.startMs), of((it) => it.begun.residentMb)],
      ...[of((it) => it.asked.residentMb), of((it) => it.asked.ownMb)],
      ...[of((it) => it.proofMs[0]), of((it) => it.proofMs[1])],
      ...[of((it) => it.findMs[0]), of((it) => it.findMs[1])],
    ]
    return [
      name[state],
      rounded(of((it) => it.startMs) / aims.startMs),
      above(
        of((it) => it.asked.residentMb),
        empty,
      ),
      ...figures.map(rounded),
    ]
  }
  const rowOfPeers = (state: (typeof states)[number]): Cell[] => {
    const of = (figure: (it: StartedPeer) => number) => middle(peers[state], figure)
    const [residentMb, ownMb] = [of((it) => it.memory.residentMb), of((it) => it.memory.ownMb)]
    return [
      name[state],
      rounded(of((it) => it.apiMs) / aims.startMs),
      above(
        residentMb,
        middle(peers.empty, (it) => it.memory.residentMb),
      ),
      ...[of((it) => it.apiMs), residentMb, ownMb].map(rounded),
    ]
  }
  const ratios = ['entries', 'start / aim', 'memory above none / aim']
  return [
    {
      title: 'Start of the logs',
      columns: [
        ...[...ratios, 'start ms', 'MB', 'MB after 2,000 proofs', 'without mapped files'],
        ...['proof p50 ms', 'proof p99 ms', 'look-up p50 ms', 'look-up p99 ms'],
      ],
      rows: states.map(rowOfLogs),
    },
    {
      title: 'Start of a peer',
      columns: [...ratios, 'API up ms', 'MB', 'without mapped files'],
      rows: states.map(rowOfPeers),
    },
  ]
}
