import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { machineFacts } from './machine.ts'
import { childrenOf, residentMb, startPeer } from './peer.ts'
import { keep } from './results.ts'
import { median, rounded } from './statistics.ts'

/** After the last model is loaded, until memory is read: its start is over, its timers have run. */
const REST_MS = 15_000

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
  const peer = await startPeer(dataDir, { env: { NODE_COMPILE_CACHE: cache } })
  try {
    await new Promise((resolve) => setTimeout(resolve, REST_MS))
    const engines = await Promise.all((await childrenOf(peer.pid)).map(residentMb))
    const enginesMb = engines.reduce((sum, mb) => sum + mb, 0)
    const { apiMs, demoMs, allMs } = peer
    return { cache: state, apiMs, demoMs, allMs, peerMb: await residentMb(peer.pid), enginesMb }
  } finally {
    await peer.stop()
  }
}
