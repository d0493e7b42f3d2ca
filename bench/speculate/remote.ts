import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { words } from '../../test/gguf/vocabulary.ts'
import type { Contestant } from '../engine/contestant.ts'
import { peer } from '../engine/our-server.ts'
import { startProgram } from '../program.ts'
import type { Pair } from './pair.ts'
import { relay } from './relay.ts'

export interface RemoteRow {
  contestant: string
  round: number
  /** Of the whole answer, from the question on. */
  tokensPerSecond: number
}

const entry = fileURLToPath(new URL('../../bin/pinaivu-peer.ts', import.meta.url))
const PROMPT_WORDS = 24
/** Greedy, a model of random weights soon repeats itself, and needs no drafter but its prompt. */
export const TEMPERATURE = 0.4
/**
 * A peer finds others, and measures what guesses cost once it has been idle for 5 s: one after the
 * other, as each needs the machine for itself.
 */
const SETTLE_MS = 15_000

/** Whole peers, asked over HTTP: without a drafter, with one of their own, with one so far away. */
export async function raceRemote(
  pair: Pair,
  { rounds, tokens, delaysMs }: { rounds: number; tokens: number; delaysMs: readonly number[] },
): Promise<RemoteRow[]> {
  const { model, vocabulary } = pair
  const fixed = { threads: 1, slots: 1, context: 1024, temperature: TEMPERATURE }
  const options = { model, vocabulary, ...fixed }
  const drafter = await startDrafter(pair)
  const stops = [() => drafter.stop()]
  const contestants: { name: string; contestant: Contestant }[] = []
  const add = async (name: string, flags: readonly string[]) => {
    const contestant = await peer({ ...options, flags })
    stops.push(() => contestant.stop())
    contestants.push({ name, contestant })
    await sleep(SETTLE_MS)
  }
  try {
    await add('none', ['--no-guesses'])
    await add('prompt', [])
    await add('local', ['--draft', pair.draft])
    for (const ms of delaysMs) {
      const cable = await relay(drafter.port, ms)
      stops.push(async () => cable.stop())
      const address = `/ip4/127.0.0.1/tcp/${cable.port}/p2p/${drafter.peerId}`
      await add(remoteName(ms), ['--drafter', drafter.peerId, '--bootstrap', address])
    }
    const rows: RemoteRow[] = []
    for (let round = 0; round <= rounds; round++) {
      for (const { name, contestant } of contestants) {
        const tokensPerSecond = await speedOf(contestant, round, tokens)
        // The first round warms up.
        if (round > 0) rows.push({ contestant: name, round, tokensPerSecond })
      }
      contestants.reverse()
    }
    return rows
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

export const remoteName = (delayMs: number) => `remote, ${delayMs} ms`

export const promptOf = (round: number) =>
  `${round} ${words.slice(round, round + PROMPT_WORDS).join(' ')}`

async function speedOf(contestant: Contestant, round: number, tokens: number): Promise<number> {
  const prompt = promptOf(round)
  const began = performance.now()
  let count = 0
  for await (const more of contestant.answer({ prompt, tokens })) count += more
  return (count * 1000) / (performance.now() - began)
}

async function startDrafter({ draft }: Pair) {
  const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-drafter-'))
  const program = startProgram(process.execPath, [
    ...[entry, 'start', '--json', '--no-demo', '--no-http', '--data-dir', dataDir],
    ...['--log-level', 'error', '--listen', '/ip4/127.0.0.1/tcp/0'],
    ...['--model', `small=${draft}`, '--threads', '1', '--slots', '2'],
  ])
  const { stdout } = program.process
  if (stdout === null) throw new Error('the drafter has no output to read')
  for await (const line of createInterface(stdout)) {
    const { event, peerId, addrs = [] } = JSON.parse(line)
    if (event !== 'ready') continue
    stdout.resume()
    const port = Number(/\/tcp\/(\d+)\//.exec(addrs[0])?.[1])
    const stop = async () => {
      await program.stop()
      await rm(dataDir, { recursive: true })
    }
    return { peerId: String(peerId), port, stop }
  }
  throw new Error('the drafter ended before it was ready')
}
