import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { type Program, startProgram } from './program.ts'
import { keep } from './results.ts'
import { median, rounded } from './statistics.ts'

const entry = fileURLToPath(new URL('../dist/bin/pinaivu-peer.js', import.meta.url))
const flags = ['--json', '--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
/** After the last model is loaded, until memory is read: its start is over, its timers have run. */
const REST_MS = 15_000
const START_MS = 60_000

/** Aims, in this project's own words: what a start may take, and what an idle peer may hold. */
const aims = { apiMs: 1000, demoMs: 2000, peerMb: 150 }

interface Start {
  cache: 'empty' | 'kept'
  /** From the process's start: the ready line, the chat model's state, that of the last model. */
  apiMs: number
  demoMs: number
  allMs: number
  /** Resident memory of the peer's process alone; its engine processes have their own. */
  peerMb: number
  enginesMb: number
}

/** How soon a peer with the demo models is up, and what it holds when nobody asks. */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '5' } },
  })
  if (!existsSync(entry)) throw new Error('There is nothing to start yet: npm run build')
  if (!existsSync('/proc/self/status')) throw new Error('Memory is read from /proc: Linux only')
  const machine = machineFacts()
  const work = await mkdtemp(join(tmpdir(), 'pinaivu-bench-idle-'))
  const starts: Start[] = []
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      const cache = join(work, `cache-${round}`)
      starts.push(await measure(join(work, `first-${round}`), cache, 'empty'))
      starts.push(await measure(join(work, `later-${round}`), cache, 'kept'))
    }
  } finally {
    await rm(work, { recursive: true })
  }
  const of = (cache: Start['cache'], figure: Exclude<keyof Start, 'cache'>) =>
    rounded(median(starts.filter((start) => start.cache === cache).map((start) => start[figure])))
  keep({
    name: 'idle',
    about:
      'A peer with the demo models and an empty data folder. A first start has to compile every ' +
      'module; later ones find them in the cache of compiled modules. Medians.',
    machine,
    settings: { rounds: values.rounds, restMs: REST_MS, aims },
    tables: [
      {
        title: 'Start and rest',
        columns: [
          'start',
          ...['API up / aim', 'demo model / aim', 'peer memory / aim'],
          ...['API up ms', 'demo model ms', 'all models ms', 'peer MB', 'engine processes MB'],
        ],
        rows: (['empty', 'kept'] as const).map((cache) => [
          cache === 'empty' ? 'first' : 'later',
          rounded(of(cache, 'apiMs') / aims.apiMs),
          rounded(of(cache, 'demoMs') / aims.demoMs),
          rounded(of(cache, 'peerMb') / aims.peerMb),
          ...(['apiMs', 'demoMs', 'allMs', 'peerMb', 'enginesMb'] as const).map((it) =>
            of(cache, it),
          ),
        ]),
      },
    ],
    raw: starts,
  })
}

async function measure(dataDir: string, cache: string, state: Start['cache']): Promise<Start> {
  const startedAt = performance.now()
  const peer = startProgram(
    process.execPath,
    [entry, 'start', ...flags, '--data-dir', dataDir, '--log-level', 'error'],
    { env: { ...process.env, NODE_COMPILE_CACHE: cache } },
  )
  try {
    const times = await untilLoaded(peer, startedAt)
    await new Promise((resolve) => setTimeout(resolve, REST_MS))
    const { pid } = peer.process
    if (pid === undefined) throw new Error('the peer has no process')
    const engines = await Promise.all((await childrenOf(pid)).map(residentMb))
    const enginesMb = engines.reduce((sum, mb) => sum + mb, 0)
    return { cache: state, ...times, peerMb: await residentMb(pid), enginesMb }
  } finally {
    await peer.stop()
  }
}

interface Event {
  event: string
  name?: string
  state?: string
  models?: string[]
}

async function untilLoaded(peer: Program, startedAt: number) {
  const { stdout } = peer.process
  if (stdout === null) throw new Error('the peer has no output to read')
  const timer = setTimeout(() => peer.process.kill(), START_MS)
  const loading = new Set<string>()
  let apiMs = Number.NaN
  let demoMs = Number.NaN
  try {
    for await (const line of createInterface(stdout)) {
      const event: Event = JSON.parse(line)
      const ms = performance.now() - startedAt
      if (event.event === 'ready') {
        apiMs = ms
        for (const name of event.models ?? []) loading.add(name)
      }
      if (event.event !== 'model' || event.state !== 'ready' || event.name === undefined) continue
      if (event.name === 'pinaivu-demo') demoMs = ms
      loading.delete(event.name)
      if (loading.size === 0) return { apiMs, demoMs, allMs: ms }
    }
  } finally {
    clearTimeout(timer)
    stdout.resume()
  }
  throw new Error('the peer ended, or took too long, before its models were loaded')
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}
