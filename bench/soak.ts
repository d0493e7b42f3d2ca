import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { childrenOf, descriptorsOf, type LoadedPeer, memoryOf, startPeer } from './peer.ts'
import { keep } from './results.ts'
import { collect } from './soak/heap.ts'
import { load, type Outcome } from './soak/load.ts'
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
  descriptors: 4,
}

interface Sample {
  atS: number
  processes: ProcessSample[]
  /** Requests that run and that wait, over all models. */
  busy: number
}

interface ProcessSample {
  pid: number
  /** What it takes, before its garbage was collected. */
  mb: number
  /** After that; `ownMb` without mapped files, whose pages the system takes and gives as it likes. */
  ownMb: number
  heapMb: number
  descriptors: number
}

/** Whether a peer that is used for long, also badly, stays as it was. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: '1' },
    },
  })
  const machine = machineFacts()
  const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-soak-'))
  try {
    const peer = await startPeer(dataDir, { flags: ['--threads', '1'] })
    try {
      const run = await soak(peer, Number(values.minutes) * 60_000, Number(values.seed))
      const checks = judge(run)
      keep({
        name: 'soak',
        about:
          'A peer with the demo models under a mixed load: chats, embeddings, completions, wrong ' +
          'requests, clients that leave and clients that never read. Slopes are of the second half, ' +
          'of what is left after a collection: of the heap of the peer, and of all memory of its ' +
          'own of an engine, which holds little in its heap.',
        machine,
        settings: { ...values, bounds },
        tables: tables(run, checks),
        raw: run,
      })
      if (checks.some(broken)) process.exitCode = 1
    } finally {
      await peer.stop()
    }
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

interface Soak {
  before: Sample
  samples: Sample[]
  after: Sample
  outcomes: Outcome[]
}

async function soak(peer: LoadedPeer, ms: number, seed: number): Promise<Soak> {
  const startedAt = performance.now()
  const before = await sample(peer, startedAt)
  const stop = new AbortController()
  const loading = load(peer, { seed, stop: stop.signal })
  const samples: Sample[] = []
  try {
    while (performance.now() - startedAt < ms) {
      await sleep(ms / SAMPLES)
      samples.push(await sample(peer, startedAt))
    }
  } finally {
    // Also when there is no peer any more to look at: nobody could be asked then.
    stop.abort()
  }
  const outcomes = await loading
  const giveUpAt = performance.now() + IDLE_MS
  let after = await sample(peer, startedAt)
  while (!idle(before, after) && performance.now() < giveUpAt) {
    await sleep(IDLE_CHECK_MS)
    after = await sample(peer, startedAt)
  }
  return { before, samples, after, outcomes }
}

async function sample(peer: LoadedPeer, startedAt: number): Promise<Sample> {
  const processes: ProcessSample[] = []
  for (const pid of [peer.pid, ...(await childrenOf(peer.pid))]) {
    const { residentMb: mb } = await memoryOf(pid)
    const heapMb = await collect(pid)
    const { ownMb } = await memoryOf(pid)
    const descriptors = await descriptorsOf(pid)
    processes.push({
      pid,
      mb: tenths(mb),
      ownMb: tenths(ownMb),
      heapMb: tenths(heapMb),
      descriptors,
    })
  }
  const atS = Math.round((performance.now() - startedAt) / 1000)
  return { atS, processes, busy: await busyOf(peer) }
}

const tenths = (mb: number): number => Math.round(mb * 10) / 10

interface Readiness {
  models: { running: number; queued: number }[]
}

async function busyOf(peer: LoadedPeer): Promise<number> {
  // Kept open, the connection would be counted among the peer's descriptors.
  const response = await fetch(`${peer.http}/readyz`, { headers: { connection: 'close' } })
  const { models } = (await response.json()) as Readiness
  return models.reduce((sum, { running, queued }) => sum + running + queued, 0)
}

const descriptorsIn = ({ processes }: Sample) =>
  processes.reduce((sum, { descriptors }) => sum + descriptors, 0)

const idle = (before: Sample, now: Sample) =>
  now.busy === 0 && Math.abs(descriptorsIn(now) - descriptorsIn(before)) <= bounds.descriptors

type Check = [what: string, measured: number, atMost: number]

function judge({ before, samples, after, outcomes }: Soak): Check[] {
  const half = samples.slice(Math.floor(samples.length / 2))
  const hours = ((half.at(-1)?.atS ?? 0) - (half[0]?.atS ?? 0)) / 3600
  const mbPerHour = rounded(Math.max(bounds.mbPerHour, bounds.mb / hours))
  const alive = new Set(after.processes.map(({ pid }) => pid))
  const ended = before.processes.filter(({ pid }) => !alive.has(pid))
  const descriptors = Math.abs(descriptorsIn(after) - descriptorsIn(before))
  const count = (wanted: (outcome: Outcome) => boolean) =>
    outcomes.filter(wanted).reduce((sum, it) => sum + it.count, 0)
  const grown = before.processes.flatMap(({ pid }, n): Check[] => {
    const growing = n === 0 ? 'heapMb' : 'ownMb'
    const largest = Math.max(...samples.map((it) => processIn(it, pid)?.mb ?? 0))
    return [
      [`${nameOf(n)}: MB`, largest, bounds.largestMb],
      [`${nameOf(n)}: MB an hour`, growth(half, (it) => processIn(it, pid)?.[growing]), mbPerHour],
    ]
  })
  return [
    ...grown,
    ['descriptors, more or fewer than before', descriptors, bounds.descriptors],
    ['requests that still run or wait', after.busy, 0],
    ['engine processes that ended', ended.length, 0],
    ['requests without an answer or a typed error', count((it) => !typed.test(it.outcome)), 0],
    ['answers 5xx', count(({ outcome }) => outcome.startsWith('5')), 0],
    ['requests that ended other than expected', count((it) => !it.expected), 0],
  ]
}

const typed = /^(200|left|hung up|\d{3} [a-z]+_\w+)$/

/** How fast a process grows, in MB an hour. */
function growth(samples: readonly Sample[], mbOf: (sample: Sample) => number | undefined): number {
  const points = samples.flatMap((sample) => {
    const mb = mbOf(sample)
    return mb === undefined ? [] : [{ x: sample.atS / 3600, y: mb }]
  })
  return rounded(slope(points))
}

const processIn = (sample: Sample, pid: number) => sample.processes.find((it) => it.pid === pid)

const nameOf = (n: number) => (n === 0 ? 'peer' : `engine process ${n}`)
const broken = ([, measured, atMost]: Check) => !(measured <= atMost)

function tables(run: Soak, checks: readonly Check[]) {
  const { before, samples, after, outcomes } = run
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
      rows: before.processes.map((_, n) => [
        nameOf(n),
        ...moments.map(({ processes }) => {
          const { mb, ownMb, heapMb, descriptors } = processes[n] ?? {}
          return `${mb} MB, collected ${ownMb} its own, heap ${heapMb}; ${descriptors}`
        }),
      ]),
    },
    {
      title: 'How requests ended',
      columns: ['request', 'end', 'expected', 'count'],
      rows: outcomes.map((it) => [it.kind, it.outcome, it.expected ? 'yes' : 'NO', it.count]),
    },
  ]
}
