import { parseArgs } from 'node:util'
import { question } from './gateway/answers.ts'
import { Loader, type Measured, Server } from './gateway/contest.ts'
import { machineFacts } from './machine.ts'
import { type Cell, keep, type Table } from './results.ts'
import { median, rounded } from './statistics.ts'

const connectionCounts = [10, 100]
const WARM_UP_SECONDS = 3
/** In the row with keys: as many as a peer with a thousand users has. */
const KEYS = 1000
const RECEIPTS = 'with receipts'
const ACCOUNT_SIDE = 'account side'

/** Everything that an account's request meets. */
const accountSide = ['--receipts', '--keys', String(KEYS), '--priced']

/** One way to ask, and who is asked that way. */
interface Discipline {
  title: string
  body: string
  /** Of our servers; the baselines run in every discipline. */
  server: 'plain' | 'keys' | 'receipts' | 'accounts'
}

const ask = (model: string, more = {}) => JSON.stringify({ model, ...question, ...more })
const disciplines: readonly Discipline[] = [
  { title: 'plain', body: ask('whole'), server: 'plain' },
  { title: 'plain, token by token', body: ask('pieces'), server: 'plain' },
  { title: 'streamed, 20 tokens', body: ask('pieces', { stream: true }), server: 'plain' },
  { title: 'keys and limits', body: ask('whole'), server: 'keys' },
  { title: RECEIPTS, body: ask('whole'), server: 'receipts' },
  { title: ACCOUNT_SIDE, body: ask('whole'), server: 'accounts' },
]

interface Row {
  discipline: string
  connections: number
  round: number
  server: string
  measured: Measured
}

/** Our HTTP surface against a bare Node proxy, both in front of an engine that answers at once. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      profile: { type: 'string' },
    },
  })
  const machine = machineFacts()
  const started: { stop(): Promise<void> }[] = []
  const start = async <T extends { stop(): Promise<void> }>(part: Promise<T>): Promise<T> => {
    const it = await part
    started.push(it)
    return it
  }
  const profile =
    values.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', values.profile]
  try {
    const loader = await start(Loader.start())
    const upstream = await start(Server.start('./instant-upstream.ts'))
    const accounts = await start(Server.start('./our-server.ts', accountSide, profile))
    const contest = new Contest(loader, {
      proxy: await start(Server.start('./bare-proxy.ts', [upstream.url])),
      instant: await start(Server.start('./bare-proxy.ts')),
      plain: await start(Server.start('./our-server.ts', [], profile)),
      keys: await start(Server.start('./our-server.ts', ['--keys', String(KEYS)])),
      receipts: await start(Server.start('./our-server.ts', ['--receipts'], profile)),
      accounts,
      proofs: await start(Server.start('./bare-proxy.ts', [upstream.url, '--proofs'])),
    })
    const rows = await contest.run(Number(values.rounds), Number(values.seconds))
    await checkCharged(accounts, rows)
    keep({
      name: 'gateway',
      about,
      machine,
      settings: { rounds: values.rounds, seconds: values.seconds, warmUpSeconds: WARM_UP_SECONDS },
      tables: [
        ...connectionCounts.map((connections) => table(rows, connections)),
        receiptsTable(rows),
        proofsTable(rows),
      ],
      raw: rows,
    })
  } finally {
    for (const part of started.toReversed()) await part.stop()
  }
}

const about =
  'A whole peer with an instant engine in its process, against two programs of bare Node that ' +
  'parse and check the same request. The baseline `proxy` forwards it to an instant upstream ' +
  'process; `instant` answers by itself, which no gateway can beat. Ratios: ours to the ' +
  "baseline's; the last columns are ours to `instant`'s. A peer checks the key, counts metrics " +
  'and keeps its limits in every row; the row `keys and limits` asks with the key of an account ' +
  `among ${KEYS} instead of the owner's. Only in the row \`${RECEIPTS}\` does the peer sign its ` +
  'work and wait for the disk, three signatures and two log entries for each answer; and in ' +
  `\`${ACCOUNT_SIDE}\`, which adds to that a key of an account as above, with limits, and a price: ` +
  'credits are set aside, charged and counted with the same write. Medians of all rounds, in turn.'

type ServerName = 'proxy' | 'proofs' | 'instant' | Discipline['server']

class Contest {
  readonly #loader: Loader
  readonly #servers: Record<ServerName, Server>

  constructor(loader: Loader, servers: Record<ServerName, Server>) {
    this.#loader = loader
    this.#servers = servers
  }

  async run(rounds: number, seconds: number): Promise<Row[]> {
    const rows: Row[] = []
    for (const discipline of disciplines) {
      const names: ServerName[] = ['proxy', discipline.server, 'instant']
      // What receipts add is told from the same rounds.
      if (discipline.title === RECEIPTS) names.push('plain')
      if (discipline.title === ACCOUNT_SIDE) names.push('proofs', 'keys')
      for (const connections of connectionCounts) {
        for (const name of names) await this.#load(name, discipline, connections, WARM_UP_SECONDS)
        for (let round = 0; round < rounds; round++) {
          for (const name of names) {
            const measured = await this.#load(name, discipline, connections, seconds)
            const server = name === discipline.server ? 'ours' : name
            rows.push({ discipline: discipline.title, connections, round, server, measured })
          }
          names.reverse()
        }
      }
    }
    return rows
  }

  #load(name: ServerName, discipline: Discipline, connections: number, seconds: number) {
    return this.#loader.load(this.#servers[name], { connections, seconds, body: discipline.body })
  }
}

/** An account whose answers are free would be fast. */
async function checkCharged({ url, key }: Server, rows: readonly Row[]): Promise<void> {
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(`${url}/v1/usage`, { headers })
  const usage = (await answer.json()) as { total_cost: number }
  const measured = rows.filter(
    ({ discipline, server }) => discipline === ACCOUNT_SIDE && server === 'ours',
  )
  const answers = measured.reduce((sum, row) => sum + row.measured.requests, 0)
  if (usage.total_cost < answers) throw new Error(`${answers} answers cost ${usage.total_cost}`)
}

const figures = ['requestsPerSecond', 'p50', 'p99', 'cpuMicroseconds'] as const

type Figure = (typeof figures)[number]

const medianOf = (rows: readonly Row[], figure: Figure, which: Partial<Row>): number =>
  median(
    rows
      .filter((row) =>
        Object.entries(which).every(([key, value]) => row[key as keyof Row] === value),
      )
      .map((row) => row.measured[figure]),
  )

/** What a receipt costs: a peer that signs and one that does not, in turn. */
function receiptsTable(rows: readonly Row[]): Table {
  return {
    title: 'What receipts cost',
    columns: [
      ...['connections', 'CPU ms a receipt', 'requests/s ratio'],
      ...['with: requests/s', 'CPU µs', 'without: requests/s', 'CPU µs'],
    ],
    rows: connectionCounts.map((connections): Cell[] => {
      const of = (server: string, figure: Figure) =>
        medianOf(rows, figure, { discipline: RECEIPTS, connections, server })
      const added = of('ours', 'cpuMicroseconds') - of('plain', 'cpuMicroseconds')
      return [
        connections,
        rounded(added / 1000),
        rounded(of('ours', 'requestsPerSecond') / of('plain', 'requestsPerSecond')),
        ...['ours', 'plain'].flatMap((server) => [
          rounded(of(server, 'requestsPerSecond')),
          rounded(of(server, 'cpuMicroseconds')),
        ]),
      ]
    }),
  }
}

/** What of an account's request is proof, and no more than that. */
function proofsTable(rows: readonly Row[]): Table {
  return {
    title:
      'What proofs alone take: the proxy, with the entries, hashes, signatures and writes of an answer',
    columns: [
      ...['connections', 'requests/s', 'p50 ms', 'CPU µs', 'to the proxy'],
      'with keys and limits: to the proxy',
      ...['ours to it: requests/s ratio', 'CPU ratio'],
    ],
    rows: connectionCounts.map((connections): Cell[] => {
      const of = (server: string, figure: Figure) =>
        medianOf(rows, figure, { discipline: ACCOUNT_SIDE, connections, server })
      const over = (server: string, other: string, figure: Figure) =>
        rounded(of(server, figure) / of(other, figure))
      return [
        connections,
        ...(['requestsPerSecond', 'p50', 'cpuMicroseconds'] as const).map((it) =>
          rounded(of('proofs', it)),
        ),
        over('proofs', 'proxy', 'requestsPerSecond'),
        rounded(bound(rows, connections)),
        ...(['requestsPerSecond', 'cpuMicroseconds'] as const).map((it) =>
          over('ours', 'proofs', it),
        ),
      ]
    }),
  }
}

/** As a ratio to the proxy: what proofs take, and what keys and limits take beyond the proxy. */
function bound(rows: readonly Row[], connections: number): number {
  const ms = (server: string) =>
    1000 / medianOf(rows, 'requestsPerSecond', { discipline: ACCOUNT_SIDE, connections, server })
  return ms('proxy') / (ms('proofs') + ms('keys') - ms('proxy'))
}

function table(rows: readonly Row[], connections: number): Table {
  return {
    title: `${connections} connections`,
    columns: [
      'path',
      ...['requests/s ratio', 'p50 ratio', 'p99 ratio'],
      ...['ours requests/s', 'p50 ms', 'p99 ms', 'CPU µs'],
      ...['proxy requests/s', 'p50 ms', 'p99 ms', 'CPU µs'],
      ...['instant requests/s', 'ratio', 'CPU ratio'],
    ],
    rows: disciplines.map(({ title }): Cell[] => {
      const of = (server: string, figure: Figure) =>
        medianOf(rows, figure, { discipline: title, connections, server })
      const ratio = (figure: Figure, other: string) =>
        rounded(of('ours', figure) / of(other, figure))
      return [
        title,
        ...(['requestsPerSecond', 'p50', 'p99'] as const).map((it) => ratio(it, 'proxy')),
        ...figures.map((it) => rounded(of('ours', it))),
        ...figures.map((it) => rounded(of('proxy', it))),
        rounded(of('instant', 'requestsPerSecond')),
        ratio('requestsPerSecond', 'instant'),
        ratio('cpuMicroseconds', 'instant'),
      ]
    }),
  }
}
