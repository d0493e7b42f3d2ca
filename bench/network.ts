import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { MODEL } from './network/engine.ts'
import { type FloodRow, floodTable, measureFloods } from './network/flooded.ts'
import { LEAD_MS, type Relay, type Relayed } from './network/order.ts'
import { Stage } from './network/stage.ts'
import { type Cell, keep, type Table } from './results.ts'
import { median, quantile, rounded } from './statistics.ts'

/** Before anything is measured: both peers then run compiled code, as peers that have run for a while. */
const WARM_UP_ANSWERS = 1000
const FIRST_TOKENS = { answers: 200, maxTokens: 8 }
/** The demo model computes, so its answers take longer, and vary more. */
const DEMO_ANSWERS = 50
const STREAMS = 64

const floods = [1, 16, STREAMS].map((streams) => ({ streams, stepMs: 0 }))
const FLOOD_TOKENS = 4000
/** Tokens a second of all streams together. */
const rates = [4_000, 10_000, 20_000]
const paced = rates.map((rate) => ({ streams: STREAMS, stepMs: (STREAMS * 1000) / rate }))

/** Of one answer: at a pace, one lasts from the beginning to the end. */
const answerTokens = (stepMs: number, seconds: number) =>
  stepMs === 0 ? FLOOD_TOKENS : Math.ceil((LEAD_MS + seconds * 1000) / stepMs)

type Way = 'straight' | 'gateway'
const ways: readonly Way[] = ['straight', 'gateway']

interface Answered {
  engine: string
  round: number
  straight: number[]
  gateway: number[]
}

interface RelayRow extends Measured {
  round: number
  way: Way
  streams: number
  stepMs: number
}

interface Measured extends Relayed {
  /** Processor time of the provider's process, and of the gateway's, for each token. */
  providerMicroseconds: number
  gatewayMicroseconds: number
}

const parts = ['relay', 'floods'] as const

/**
 * A provider asked straight, and through another peer that has no model; and that while strangers
 * flood it.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      profile: { type: 'string' },
      only: { type: 'string' },
    },
  })
  const { only, profile } = values
  if (only !== undefined && !parts.some((part) => part === only)) {
    throw new Error(`--only is one of: ${parts.join(', ')}`)
  }
  const machine = machineFacts()
  const measuring = { rounds: Number(values.rounds), seconds: Number(values.seconds), profile }
  const relays = only === 'floods' ? undefined : await measureRelays(measuring)
  const flooded = only === 'relay' ? undefined : await measureFlooded(measuring)
  keep({
    name: only === undefined ? 'network' : `network-${only}`,
    about,
    machine,
    settings: {
      ...{ rounds: measuring.rounds, seconds: measuring.seconds },
      ...{ warmUpAnswers: WARM_UP_ANSWERS, ...FIRST_TOKENS },
    },
    tables: [...(relays?.tables ?? []), ...(flooded === undefined ? [] : [floodTable(flooded)])],
    raw: { ...relays?.raw, flooded },
  })
}

interface Measuring {
  rounds: number
  seconds: number
  profile: string | undefined
}

async function measureRelays({ rounds, seconds, profile }: Measuring) {
  const answered: Answered[] = []
  const relayed: RelayRow[] = []
  await onStage('instant', profile, async (stage) => {
    const lookUps = await warmedUp(stage)
    for (let round = 0; round < rounds; round++) {
      const times = await stage.firstTokens(MODEL, FIRST_TOKENS)
      answered.push({ engine: 'instant', round, ...times })
    }
    for (let round = 0; round < rounds; round++) {
      for (const relay of [...floods, ...paced]) {
        for (const way of ways) {
          const { streams, stepMs } = relay
          const tokens = answerTokens(stepMs, seconds)
          const order = { streams, stepMs, seconds, answerTokens: tokens }
          const measured = await relayOnce(stage, way, order)
          relayed.push({ round, way, streams, stepMs, ...measured })
        }
      }
    }
    const more = (await stage.lookUps()) - lookUps
    if (more > 0) throw new Error(`the DHT was asked ${more} times for a model that is known`)
  })
  await onStage('demo', undefined, async (stage) => {
    const ask = { answers: DEMO_ANSWERS, maxTokens: FIRST_TOKENS.maxTokens }
    await stage.firstTokens('pinaivu-demo', ask)
    for (let round = 0; round < rounds; round++) {
      answered.push({ engine: 'demo', round, ...(await stage.firstTokens('pinaivu-demo', ask)) })
    }
  })
  return {
    tables: [firstTokenTable(answered), throughputTable(relayed), latencyTable(relayed)],
    raw: { answered: answered.map(rounding), relayed },
  }
}

async function measureFlooded({ profile, ...measuring }: Measuring): Promise<FloodRow[]> {
  const rows: FloodRow[] = []
  await onStage('instant', profile, async (stage) => {
    await warmedUp(stage)
    rows.push(...(await measureFloods(stage, measuring)))
  })
  return rows
}

/** Returns how often the DHT was asked until then. */
async function warmedUp(stage: Stage): Promise<number> {
  await stage.firstTokens(MODEL, { answers: WARM_UP_ANSWERS, maxTokens: FIRST_TOKENS.maxTokens })
  return await stage.lookUps()
}

const about =
  'A provider asked straight, at its own endpoint, and through a gateway: another peer, in another ' +
  'process, that has no model. Their connection is warm, and the processes of provider, gateway and ' +
  'client share the cores of this machine. `instant` is an engine that computes nothing, so that ' +
  'only what lies around it is measured; `demo` is the real demo model on one thread. Times in ms; ' +
  'CPU in µs of processor time for each token, which does not depend on who else wants the ' +
  'processor. Asserted: for a known model the DHT is never asked, and no answer fails while strangers ' +
  'flood the provider. They are a process on the same two or more cores, where in life they are elsewhere: so ' +
  'answers in a flood are compared with those while another process takes as much of the processor as ' +
  'the flood’s did; `quiet` is without either. Medians of all rounds, in turn.'

async function onStage(
  models: 'instant' | 'demo',
  profile: string | undefined,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  const stage = await Stage.build(models, profile)
  try {
    await play(stage)
  } finally {
    await stage.stop()
  }
}

async function relayOnce(stage: Stage, way: Way, relay: Relay): Promise<Measured> {
  const before = await stage.spent()
  const result = await stage.relay(way, MODEL, relay)
  const after = await stage.spent()
  return {
    ...result,
    providerMicroseconds: (after.provider - before.provider) / result.tokens,
    gatewayMicroseconds: (after.gateway - before.gateway) / result.tokens,
  }
}

function firstTokenTable(answered: readonly Answered[]): Table {
  const parts = [0.5, 0.9, 0.99]
  return {
    title: 'First token',
    columns: [
      ...['engine', 'added p50 ms', 'median of paired differences'],
      ...ways.flatMap((way) => [`${way} p50`, 'p90', 'p99']),
    ],
    rows: ['instant', 'demo'].map((engine): Cell[] => {
      const of = (figure: (row: Answered) => number) =>
        median(answered.filter((row) => row.engine === engine).map(figure))
      const added = of((row) => quantile(row.gateway, 0.5) - quantile(row.straight, 0.5))
      const pairs = of(({ gateway, straight }) =>
        median(gateway.map((ms, at) => ms - (straight[at] ?? Number.NaN))),
      )
      const times = ways.flatMap((way) =>
        parts.map((part) => of((row) => quantile(row[way], part))),
      )
      return [engine, ...[added, pairs, ...times].map(rounded)]
    }),
  }
}

function throughputTable(rows: readonly RelayRow[]): Table {
  return {
    title: 'Tokens as fast as they are read',
    columns: [
      ...['streams', 'ratio', 'gateway tok/s', 'tok per CPU second of the gateway'],
      ...[
        'CPU µs of gateway',
        'provider',
        'client',
        'straight tok/s',
        'CPU µs of provider',
        'client',
      ],
    ],
    rows: floods.map(({ streams, stepMs }): Cell[] => {
      const of = medians(rows, { streams, stepMs })
      const rate = (way: Way) => of(way, (row) => row.tokensPerSecond)
      return [
        streams,
        ...[
          rate('gateway') / rate('straight'),
          rate('gateway'),
          1e6 / of('gateway', (row) => row.gatewayMicroseconds),
          of('gateway', (row) => row.gatewayMicroseconds),
          of('gateway', (row) => row.providerMicroseconds),
          of('gateway', (row) => row.clientMicroseconds),
          rate('straight'),
          of('straight', (row) => row.providerMicroseconds),
          of('straight', (row) => row.clientMicroseconds),
        ].map(rounded),
      ]
    }),
  }
}

function latencyTable(rows: readonly RelayRow[]): Table {
  return {
    title: `${STREAMS} streams, each token from when it is made to when it is here`,
    columns: [
      ...['tok/s asked for', 'added p50 ms', 'added p99 ms', 'gateway tok/s', 'p50', 'p99'],
      ...['straight tok/s', 'p50', 'p99', 'CPU µs of gateway', 'provider', 'client'],
    ],
    rows: paced.map(({ streams, stepMs }, at): Cell[] => {
      const of = medians(rows, { streams, stepMs })
      const added = (figure: 'p50' | 'p99') =>
        of('gateway', (row) => row[figure]) - of('straight', (row) => row[figure])
      const shown = (way: Way) => [
        of(way, (row) => row.tokensPerSecond),
        of(way, (row) => row.p50),
        of(way, (row) => row.p99),
      ]
      return [
        rates[at] ?? Number.NaN,
        ...[
          ...[added('p50'), added('p99'), ...shown('gateway'), ...shown('straight')],
          of('gateway', (row) => row.gatewayMicroseconds),
          of('gateway', (row) => row.providerMicroseconds),
          of('gateway', (row) => row.clientMicroseconds),
        ].map(rounded),
      ]
    }),
  }
}

function medians(rows: readonly RelayRow[], relay: { streams: number; stepMs: number }) {
  return (way: Way, figure: (row: RelayRow) => number) =>
    median(
      rows
        .filter((row) => row.streams === relay.streams && row.stepMs === relay.stepMs)
        .filter((row) => row.way === way)
        .map(figure),
    )
}

/** What is kept of some thousand times. */
function rounding({ engine, round, straight, gateway }: Answered) {
  return { engine, round, straight: straight.map(rounded), gateway: gateway.map(rounded) }
}
