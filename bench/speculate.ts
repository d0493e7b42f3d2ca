import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { keep, type Table } from './results.ts'
import { bestBound, bound, msBetween, rightOf } from './speculate/bound.ts'
import { type BatchTime, Engine, type Written } from './speculate/engine.ts'
import { boundsOf, costOf, costsOf, type FarBounds, rightOfPair } from './speculate/far.ts'
import { demoPair, type Pair, pinnedPair } from './speculate/pair.ts'
import { type RemoteRow, raceRemote, remoteName } from './speculate/remote.ts'
import { median, quantile, rounded } from './statistics.ts'

/** Those of the pinned pair: both agree nearly always, now and then, and next to never. */
const CLOSE = 0.05
const SHARES = [CLOSE, 0.3, 1]
/** That of the peers: they draw by chance, where agreeing is harder. */
const CLOSER = 0.005
const PROMPTS = [
  'The network is a set of peers, and each of them',
  'A receipt says who did the work, and',
  'Tell me a story of a small machine that',
]

interface Contestant {
  name: string
  window: number | undefined
  engine: Engine
}

interface Row {
  pair: string
  contestant: string
  round: number
  tokensPerSecond: number
  drafted: number
  accepted: number
  gapsMs: number[]
  firstGhostMs: number | undefined
  /** Token by token as without guesses. */
  isSame: boolean
}

/** Answers with guesses and without, in turn, on one thread; and what guesses cost on this machine. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      tokens: { type: 'string', default: '128' },
      pairs: { type: 'string', default: 'demo,pinned' },
      delays: { type: 'string', default: '0,5,20' },
      windows: { type: 'string', default: '2,4,8,16' },
    },
  })
  const { rounds, tokens, pairs, delays } = values
  const windows = numbers(values.windows)
  const machine = machineFacts()
  const all = pairs
    .split(',')
    .filter(Boolean)
    .flatMap((name) => {
      if (name === 'demo') return [demoPair]
      if (name === 'pinned') return SHARES.map(pinnedPair)
      throw new Error(`there is no pair ${name}: demo, pinned`)
    })
  const rows: Row[] = []
  const curves: { pair: string; curve: BatchTime[]; draftMs: number }[] = []
  for (const pair of all) {
    const { curve, draftMs, measured } = await race(pair, {
      ...{ rounds: Number(rounds), tokens: Number(tokens), windows },
    })
    curves.push({ pair: pair.name, curve, draftMs })
    rows.push(...measured)
  }
  const delaysMs = numbers(delays)
  const lengths = { rounds: Number(rounds), tokens: Number(tokens), delaysMs }
  const far = delaysMs.length > 0 ? await farAway(lengths) : undefined
  keep({
    name: 'speculate',
    about,
    machine,
    settings: { rounds, tokens, delays, threads: 1, slots: 1, prompts: PROMPTS.length },
    tables: [
      ...(curves.length > 0 ? [costs(curves)] : []),
      ...curves.map(({ pair, curve, draftMs }) => speeds(pair, { curve, draftMs, windows }, rows)),
      ...(far === undefined ? [] : [distances(far)]),
    ],
    raw: { curves, rows, far },
  })
}

const about =
  'One engine process a row, the same model and prompts, in turn; greedy, one thread, one answer at ' +
  'a time; medians of all rounds. `none` has no guesses. `auto` decides by itself, `watched` does so ' +
  'for a reader that sees guesses; the others always guess so many ahead. The bound is what this ' +
  "run's batch costs and the row's acceptance allow; at `auto`, the best window at that of the pair. `same` is the part of " +
  'answers that are those without guesses, token by token: in a larger batch llama.cpp rounds sums in ' +
  'another way, and of two tokens that are as good as equally likely the other one may win.'

const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number)

async function race(
  pair: Pair,
  { rounds, tokens, windows }: { rounds: number; tokens: number; windows: readonly number[] },
) {
  const draft = await Engine.start({ ...pair, model: pair.draft, draft: undefined, window: 0 })
  const draftMs = msBetween(await draft.calibrate(), 1)
  await draft.stop()
  const none = await Engine.start({ ...pair, draft: undefined, window: 0 })
  const curve = await none.calibrate()
  const contestants: Contestant[] = [{ name: 'none', window: 0, engine: none }]
  const measured: Row[] = []
  try {
    for (const window of [undefined, ...windows]) {
      const engine = await Engine.start({ ...pair, batchTimes: curve, window })
      contestants.push({ name: window === undefined ? 'auto' : `${window} ahead`, window, engine })
    }
    for (let round = 0; round <= rounds; round++) {
      const prompt = PROMPTS[round % PROMPTS.length] ?? ''
      const written = new Map<string, Written>()
      for (const { name, engine } of contestants) {
        written.set(name, await engine.answer(prompt, tokens))
        if (name === 'auto') written.set('watched', await engine.answer(prompt, tokens, true))
      }
      for (const [contestant, answer] of written) {
        const isSame = answer.ids.join() === written.get('none')?.ids.join()
        const row = { pair: pair.name, contestant, round, isSame, ...figures(answer) }
        // The first round warms up.
        if (round > 0) measured.push(row)
      }
      contestants.reverse()
    }
  } finally {
    for (const { engine } of contestants) await engine.stop()
  }
  return { curve, draftMs, measured }
}

function figures({ ms, drafting, firstGhostMs }: Written) {
  const first = ms[0] ?? 0
  const after = ms.filter((at) => at > first)
  const gapsMs = ms.slice(1).map((at, n) => at - (ms[n] ?? 0))
  const sum = (of: 'drafted' | 'accepted') => drafting.reduce((total, each) => total + each[of], 0)
  return {
    tokensPerSecond: after.length / (((ms.at(-1) ?? 0) - first) / 1000),
    drafted: sum('drafted'),
    accepted: sum('accepted'),
    gapsMs,
    firstGhostMs,
  }
}

async function farAway(lengths: { rounds: number; tokens: number; delaysMs: number[] }) {
  const pair = pinnedPair(CLOSER)
  const before = await costsOf(pair)
  const right = await rightOfPair(pair, lengths)
  const rows = await raceRemote(pair, lengths)
  const cost = costOf([...before, ...(await costsOf(pair))])
  return { cost, bounds: boundsOf(cost, right, lengths.delaysMs), rows }
}

function distances({ rows, bounds }: { rows: readonly RemoteRow[]; bounds: FarBounds }): Table {
  const speedOf = (name: string, round: number) =>
    rows.find((row) => row.contestant === name && row.round === round)?.tokensPerSecond ?? 0
  const rounds = [...new Set(rows.map(({ round }) => round))]
  const overOf = (name: string, other: string) =>
    median(rounds.map((round) => speedOf(name, round) / speedOf(other, round)))
  const remote = bounds.far.map(({ delayMs, most }) => ({ name: remoteName(delayMs), most }))
  const all = [
    { name: 'none' },
    { name: 'prompt' },
    { name: 'local', most: bounds.near },
    ...remote,
  ]
  return {
    title: `Whole peers over HTTP, the pinned pair of share ${CLOSER}, at temperature 0.4: a guess is right ${rounded(bounds.right)} of the time, where those before it are; the drafter is so far away, each way`,
    columns: [
      ...['drafter', 'speed-up', 'of the bound of a local one', 'bound at that distance', 'of it'],
      ...['to the local one', 'tokens/s'],
    ],
    rows: all.map(({ name, most }: { name: string; most?: number }) => {
      const speedUp = overOf(name, 'none')
      const ofBounds =
        most === undefined
          ? ['', '', '']
          : [speedUp / bounds.near, most, speedUp / most].map(rounded)
      const speed = median(rounds.map((round) => speedOf(name, round)))
      return [name, rounded(speedUp), ...ofBounds, rounded(overOf(name, 'local')), rounded(speed)]
    }),
  }
}

function costs(curves: readonly { pair: string; curve: BatchTime[]; draftMs: number }[]): Table {
  const sizes = [...new Set(curves.flatMap(({ curve }) => curve.map(({ tokens }) => tokens)))]
  return {
    title: 'A decode of so many tokens of one answer, to that of one',
    columns: ['pair', 'ms of one', 'ms of a guess', ...sizes.map(String)],
    rows: curves.map(({ pair, curve, draftMs }) => {
      const one = msBetween(curve, 1)
      const ratios = sizes.map((size) => rounded(msBetween(curve, size) / one))
      return [pair, rounded(one), rounded(draftMs), ...ratios]
    }),
  }
}

function speeds(
  pair: string,
  { curve, draftMs, windows }: { curve: BatchTime[]; draftMs: number; windows: readonly number[] },
  all: readonly Row[],
): Table {
  const rows = all.filter((row) => row.pair === pair)
  const names = ['none', 'auto', 'watched', ...windows.map((window) => `${window} ahead`)]
  const speedOf = (name: string) => {
    const of = rows.filter(({ contestant }) => contestant === name)
    return median(of.map(({ tokensPerSecond }) => tokensPerSecond))
  }
  const cost = { curve, draftMs }
  const acceptedOf = (name: string) => {
    const of = rows.filter(({ contestant }) => contestant === name)
    const drafted = of.reduce((sum, row) => sum + row.drafted, 0)
    return drafted === 0 ? 0 : of.reduce((sum, row) => sum + row.accepted, 0) / drafted
  }
  const rights = windows.map((window) => rightOf(acceptedOf(`${window} ahead`), window))
  const right = rights.length === 0 ? undefined : median(rights)
  const boundOf = (name: string) => {
    const window = Number(/^(\d+) ahead$/.exec(name)?.[1] ?? 0)
    if (window > 0) return bound(cost, rightOf(acceptedOf(name), window), window)
    return name === 'auto' && right !== undefined ? bestBound(cost, right) : undefined
  }
  return {
    title:
      right === undefined
        ? pair
        : `${pair}: a guess is right ${rounded(right)} of the time, where those before it are`,
    columns: [
      ...['guesses', 'speed-up', 'bound', 'of the bound', 'accepted', 'tokens/s'],
      ...['ms between, p50', 'p99', 'first ghost, ms', 'same'],
    ],
    rows: names.map((name) => {
      const of = rows.filter(({ contestant }) => contestant === name)
      const speedUp = speedOf(name) / speedOf('none')
      const most = boundOf(name)
      const gaps = of.flatMap(({ gapsMs }) => gapsMs)
      const ghosts = of.flatMap(({ firstGhostMs }) => firstGhostMs ?? [])
      return [
        ...[name, rounded(speedUp), most === undefined ? '' : rounded(most)],
        ...[most === undefined ? '' : rounded(speedUp / most), rounded(acceptedOf(name))],
        ...[rounded(speedOf(name)), rounded(median(gaps)), rounded(quantile(gaps, 0.99))],
        ghosts.length > 0 ? rounded(median(ghosts)) : '',
        rounded(of.filter(({ isSame }) => isSame).length / of.length),
      ]
    }),
  }
}
