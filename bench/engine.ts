import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { halfShape, writeHalf } from '../test/gguf/llama-model.ts'
import { cacheFolder } from './cache.ts'
import type { Contestant, ContestantOptions } from './engine/contestant.ts'
import { type Measured, measure, type Round } from './engine/measure.ts'
import { engineProcess } from './engine/our-process.ts'
import { peer } from './engine/our-server.ts'
import { llamaServer } from './engine/their-server.ts'
import { upstreamBench } from './engine/upstream.ts'
import { llamaCppVersion } from './llama-server.ts'
import { machineFacts } from './machine.ts'
import { keep, type Table } from './results.ts'
import { median, rounded } from './statistics.ts'

const streamCounts = [1, 4, 8]
const CONTEXT = 1024
const DECODE = { promptTokens: 32, answerTokens: 64 }
/** An answer as short as can be: the time to its first token is asked for. */
const PREFILL = { promptTokens: 200, answerTokens: 8 }

interface Row {
  contestant: string
  kind: 'decode' | 'prefill'
  round: Round
  measured: Measured
}

/** Decoding speed and time to the first token, ours against llama-server's, in turn. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: '1' },
      level: { type: 'string', default: 'process' },
      profile: { type: 'string' },
    },
  })
  const { rounds, threads, level, profile } = values
  if (level === 'upstream') {
    await upstreamBench(Number(rounds), profile)
    return
  }
  const machine = machineFacts()
  const model = join(cacheFolder, 'half.gguf')
  writeHalf(model)
  const options: ContestantOptions = {
    model,
    vocabulary: halfShape.vocabulary,
    slots: Math.max(...streamCounts),
    context: CONTEXT,
    ...(threads === 'default' ? {} : { threads: Number(threads) }),
  }
  const theirs = await llamaServer(options)
  const started = [theirs]
  try {
    const ours = await (level === 'http' ? peer(options) : engineProcess(options, profile))
    started.push(ours)
    const rows = await race([ours, theirs], Number(rounds))
    keep({
      name: ['engine', ...(level === 'http' ? ['http'] : []), ...threadsName(threads)].join('-'),
      about,
      machine,
      settings: {
        model: halfShape,
        'llama.cpp': llamaCppVersion(),
        level,
        threads,
        rounds,
        context: CONTEXT,
        decode: DECODE,
        prefill: PREFILL,
      },
      tables: tables(rows, ours.name, theirs.name),
      raw: rows,
    })
  } finally {
    for (const contestant of started) await contestant.stop()
  }
}

const threadsName = (threads: string) => (threads === '1' ? [] : [`threads-${threads}`])

const about =
  'Our engine against llama-server of the same llama.cpp: the same GGUF of random weights, the ' +
  'same threads, slots and lengths, in turn; medians of all rounds. Decoding is counted while all ' +
  'streams decode. Ratios: ours to theirs, so above 1 is faster for tokens a second, and below 1 ' +
  'is sooner for the first token.'

async function race(contestants: readonly Contestant[], rounds: number): Promise<Row[]> {
  const rows: Row[] = []
  const all = [...contestants]
  for (let n = 0; n <= rounds; n++) {
    for (const streams of streamCounts) {
      for (const [kind, lengths] of [
        ['decode', DECODE],
        ['prefill', PREFILL],
      ] as const) {
        for (const contestant of all) {
          const round = { streams, ...lengths }
          const measured = await measure(contestant, round)
          // The first round warms up: files are read, buffers made, code compiled.
          if (n > 0) rows.push({ contestant: contestant.name, kind, round, measured })
        }
      }
    }
    all.reverse()
  }
  const counted = contestants.map((contestant) => contestant.promptTokens())
  if (new Set(counted).size !== 1) throw new Error(`prompts were counted differently: ${counted}`)
  return rows
}

function tables(rows: readonly Row[], ours: string, theirs: string): Table[] {
  const compare = (title: string, kind: Row['kind'], figure: (row: Row) => number): Table => ({
    title,
    columns: ['streams', 'ratio', ours, theirs],
    rows: streamCounts.map((streams) => {
      const of = (name: string) =>
        median(
          rows
            .filter((row) => row.contestant === name && row.kind === kind)
            .filter((row) => row.round.streams === streams)
            .map(figure),
        )
      return [streams, rounded(of(ours) / of(theirs)), rounded(of(ours)), rounded(of(theirs))]
    }),
  })
  return [
    compare('Decoded tokens a second', 'decode', (row) => row.measured.tokensPerSecond),
    compare(
      `Median ms to the first token, prompts of ${PREFILL.promptTokens} tokens`,
      'prefill',
      (row) => median(row.measured.firstTokenMs),
    ),
  ]
}
