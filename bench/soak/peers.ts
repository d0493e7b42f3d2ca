import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gatewayPlan, providerPlan, Stage } from '../../testnet/index.ts'
import { childrenOf } from '../peer.ts'
import type { Endpoint } from './load.ts'

const programPath = fileURLToPath(new URL('../../dist/bin/pinaivu-peer.js', import.meta.url))
const GATEWAY = 'gateway'
const PROVIDER = 'provider'
/** The one that nothing is expected of. */
export const SHAKY = 'shaky provider'
const args = ['--log-level', 'error']
/** Several answers at a time. */
const isReproducible = false

/** A process that has to last as long as the soak. */
export interface Lasting {
  name: string
  pid: number
  isEngine: boolean
}

export interface SoakPeers {
  stage: Stage
  endpoints: Endpoint[]
  lasting: Lasting[]
  /** Peers that ended, though nobody ended them. */
  ended: string[]
}

/**
 * One to ask that serves nothing, a provider that keeps an archive, and one that comes and goes.
 * Whoever opens the stage closes it.
 */
export async function assemblePeers(signal: AbortSignal): Promise<SoakPeers> {
  const ended: string[] = []
  const onDown = (name: string, reason: string) => ended.push(`${name}: ${reason}`)
  const stage = new Stage({ programPath, env: process.env, onDown, signal })
  try {
    await stage.open()
    await stage.add(gatewayPlan({ args }))
    const roles = ['provider', 'coordinator', 'archive']
    await stage.add(providerPlan(PROVIDER, { roles, args, isReproducible }))
    await stage.add(providerPlan(SHAKY, { args, isReproducible }))
    await stage.untilServed(2)
    const steady = [GATEWAY, PROVIDER]
    const endpoints = steady.map((name) => ({ name, ...stage.ready(name) }))
    const lasting = await Promise.all(steady.map((name) => processesOf(stage, name)))
    return { stage, endpoints, lasting: lasting.flat(), ended }
  } catch (error) {
    await stage.close()
    throw error
  }
}

async function processesOf(stage: Stage, name: string): Promise<Lasting[]> {
  const { pid } = stage.peer(name)
  if (pid === undefined) throw new Error(`${name} has no process`)
  const engines = (await childrenOf(pid)).map((pid, n) => ({
    ...{ name: `engine process ${n + 1}`, pid },
    isEngine: true,
  }))
  return [{ name, pid, isEngine: false }, ...engines]
}

/** What the peers wrote into their logs of errors, and how often. */
export async function errorsOf({ stage }: SoakPeers): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const file of await readdir(stage.dir)) {
    if (!file.endsWith('.log')) continue
    for (const line of (await readFile(join(stage.dir, file), 'utf8')).split('\n')) {
      const error = errorIn(line)
      if (error === undefined) continue
      const key = `${file.slice(0, -'.log'.length)}: ${error}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  return counts
}

/** What the debugger says of itself is none. */
const ofDebugger = /^(Debugger (listening|attached|ending)|For help, see|Waiting for the debugger)/

function errorIn(line: string): string | undefined {
  if (line === '' || ofDebugger.test(line)) return undefined
  try {
    const { msg } = JSON.parse(line) as { msg?: string }
    return msg ?? line
  } catch {
    return line
  }
}
