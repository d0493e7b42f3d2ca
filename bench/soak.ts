import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { keep, type Table } from './results.ts'
import { type Faults, harm } from './soak/faults.ts'
import { load, type Outcome } from './soak/load.ts'
import { seededDraw } from './soak/mix.ts'
import { assemblePeers, errorsOf, SHAKY, type SoakPeers } from './soak/peers.ts'
import { descriptorsIn, type Sample, sample } from './soak/samples.ts'
import { rounded, slope } from './statistics.ts'

/** Few, since garbage is collected for each: between them a process does that as it always would. */
const SAMPLES = 24
/** From the last request until nothing runs and every connection is closed. */
const IDLE_MS = 60_000
const IDLE_CHECK_MS = 500

const bounds = {
  /** Half a GiB in a day: at 60 requests a second, some 110 bytes each. */
  mbPerHour: 24,
  /** What a process may wander by in the half of the run that is looked at, however short it is. */
  mb: 6,
  /** What a process may take of the machine: a heap grows before it is collected. */
  largestMb: 300,
  /** Files that are opened at first use and kept: a table of the database, a module's. */
  descriptors: 6,
}

/** Whether peers that are used for long, also badly, stay as they were while another comes and goes. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: '1' },
    },
  })
  const machine = machineFacts()
  const interrupted = new AbortController()
  process.once('SIGINT', () => interrupted.abort())
  const peers = await assemblePeers(interrupted.signal)
  try {
    const ran = await soak(peers, Number(values.minutes) * 60_000, Number(values.seed))
    const checks = judge(ran)
    keep({
      name: 'soak',
      about:
        'A gateway and a provider with the demo models under a mixed load: chats, embeddings, ' +
        'completions, wrong requests, clients that leave and clients that never read; a second ' +
        'provider is killed, stopped and frozen meanwhile, and comes back. Slopes are of the second ' +
        'half, of what is left after a collection: of the heap of a peer, and of all memory of its ' +
        'own of an engine, which holds little in its heap.',
      machine,
      settings: { ...values, bounds },
      tables: tables(ran, checks),
      raw: ran,
    })
    if (checks.some(broken)) process.exitCode = 1
  } finally {
    await peers.stage.close()
  }
}

interface Soak {
  before: Sample
  samples: Sample[]
  after: Sample
  outcomes: Outcome[]
  faults: Faults
  /** Peers that ended by themselves. */
  ended: string[]
  /** Of the peers' logs. */
  errors: [what: string, count: number][]
}

async function soak(peers: SoakPeers, ms: number, seed: number): Promise<Soak> {
  const startedAt = performance.now()
  const before = await sample(peers, startedAt)
  const stop = new AbortController()
  const options = { seed, stop: stop.signal }
  const loading = Promise.all(peers.endpoints.map((endpoint) => load(endpoint, options)))
  const harming = harm(peers.stage, SHAKY, { draw: seededDraw(seed), stop: stop.signal })
  const samples: Sample[] = []
  try {
    while (performance.now() - startedAt < ms) {
      await sleep(ms / SAMPLES)
      samples.push(await sample(peers, startedAt))
    }
  } finally {
    // Also when there is no peer any more to look at: nobody could be asked then.
    stop.abort()
  }
  const [outcomes, faults] = await Promise.all([loading, harming])
  await peers.stage.untilServed(2)
  const giveUpAt = performance.now() + IDLE_MS
  let after = await sample(peers, startedAt)
  while (!idle(before, after) && performance.now() < giveUpAt) {
    await sleep(IDLE_CHECK_MS)
    after = await sample(peers, startedAt)
  }
  const errors = [...(await errorsOf(peers))].toSorted()
  return { before, samples, after, outcomes: outcomes.flat(), faults, ended: peers.ended, errors }
}

const idle = (before: Sample, now: Sample) =>
  now.busy === 0 && Math.abs(descriptorsIn(now) - descriptorsIn(before)) <= bounds.descriptors

type Check = [what: string, measured: number, atMost: number]

function judge({ before, samples, after, outcomes, ended, errors }: Soak): Check[] {
  const half = samples.slice(Math.floor(samples.length / 2))
  const hours = ((half.at(-1)?.atS ?? 0) - (half[0]?.atS ?? 0)) / 3600
  const mbPerHour = rounded(Math.max(bounds.mbPerHour, bounds.mb / hours))
  const descriptors = Math.abs(descriptorsIn(after) - descriptorsIn(before))
  const count = (wanted: (outcome: Outcome) => boolean) =>
    outcomes.filter(wanted).reduce((sum, it) => sum + it.count, 0)
  const grown = before.processes.flatMap(({ name, isEngine }, n): Check[] => {
    const growing = isEngine ? 'ownMb' : 'heapMb'
    const points = half.map(({ atS, processes }) => ({
      x: atS / 3600,
      y: processes[n]?.[growing] ?? 0,
    }))
    const largest = Math.max(...samples.map(({ processes }) => processes[n]?.mb ?? 0))
    return [
      [`${name}: MB`, largest, bounds.largestMb],
      [`${name}: MB an hour`, rounded(slope(points)), mbPerHour],
    ]
  })
  return [
    ...grown,
    ['descriptors, more or fewer than before', descriptors, bounds.descriptors],
    ['requests that still run or wait', after.busy, 0],
    ['peers that ended by themselves', ended.length, 0],
    ['errors in their logs', errors.reduce((sum, [, times]) => sum + times, 0), 0],
    ['requests without an answer or a typed error', count((it) => !typed.test(it.outcome)), 0],
    ['answers 5xx', count(({ outcome }) => outcome.startsWith('5')), 0],
    ['requests that ended other than expected', count((it) => !it.expected), 0],
  ]
}

const typed = /^(200|left|hung up|\d{3} [a-z]+_\w+)$/

const broken = ([, measured, atMost]: Check) => !(measured <= atMost)

function tables(ran: Soak, checks: readonly Check[]): Table[] {
  const { before, samples, after, outcomes, faults } = ran
  const moments = [before, samples[Math.floor(samples.length / 2)] ?? after, after]
  return [
    {
      title: 'Bounds',
      columns: ['what', 'measured', 'at most', 'held'],
      rows: checks.map((check) => [...check, broken(check) ? 'NO' : 'yes']),
    },
    {
      title: 'MB and descriptors',
      columns: ['process', ...moments.map(({ atS }) => `after ${atS} s`)],
      rows: before.processes.map(({ name }, n) => [
        name,
        ...moments.map(({ processes }) => {
          const { mb, ownMb, heapMb, descriptors } = processes[n] ?? {}
          return `${mb} MB, collected ${ownMb} its own, heap ${heapMb}; ${descriptors}`
        }),
      ]),
    },
    {
      title: 'The shaky provider',
      columns: ['killed', 'stopped', 'frozen'],
      rows: [[faults.killed, faults.stopped, faults.frozen]],
    },
    {
      title: 'How requests ended',
      columns: ['of', 'request', 'end', 'expected', 'count'],
      rows: outcomes.map((it) => {
        return [it.of, it.kind, it.outcome, it.expected ? 'yes' : 'NO', it.count]
      }),
    },
    {
      title: 'Errors in the logs',
      columns: ['what', 'count'],
      rows: [...ran.errors, ...ran.ended.map((what): [string, number] => [what, 1])],
    },
  ]
}
