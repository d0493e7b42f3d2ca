import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { PeerError } from '../../src/index.ts'
import type { Happening, Verdict } from './findings.ts'
import { noNamespaces, ownNetwork } from './lan.ts'
import { runScenario, type ScenarioName, type ScenarioOptions, wantsNetwork } from './scenarios.ts'

/** Tells the program that it runs in a network of its own already. */
const MARK = 'TESTNET_OWN_NETWORK'

export type ApartOptions = Omit<ScenarioOptions, 'hasNetwork'>

/** What the program prints with `--json`, a line each. */
type Printed =
  | { event: 'scenario' }
  | ({ event: 'happened' } & Happening)
  | ({ event: 'verdict' } & Verdict)

/** Runs a scenario; one that wants a network of its own gets it where this user may have one. */
export async function runApart(name: ScenarioName, options: ApartOptions): Promise<Verdict> {
  const hasNetwork = options.env[MARK] !== undefined
  if (hasNetwork || !wantsNetwork(name)) {
    return await runScenario(name, { ...options, hasNetwork })
  }
  const reason = await noNamespaces()
  if (reason === undefined) return await withNetwork(name, options)
  const needed = 'Linux, root or user namespaces, iproute2 and util-linux'
  const says = `No network namespaces here: ${reason}. They take ${needed}; without them peers stand still instead.`
  options.tell({ ms: 0, says })
  return await runScenario(name, { ...options, hasNetwork })
}

/** The same program again, with nothing but itself and its peers on its network. */
async function withNetwork(name: ScenarioName, options: ApartOptions): Promise<Verdict> {
  const { programPath, nodePath = process.execPath, env, seed, dir, keep, signal, tell } = options
  const [command = '', ...words] = [...ownNetwork, nodePath, programPath]
  const flags = ['--json', '--scenario', name, '--seed', String(seed)]
  const folder = dir === undefined ? [] : ['--data-dir', dir]
  const kept = keep === true ? ['--keep'] : []
  const child = spawn(command, [...words, 'testnet', ...flags, ...folder, ...kept], {
    // It ends when the channel does.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { ...env, [MARK]: '1' },
  })
  const ended = once(child, 'exit')
  const stop = () => child.connected && child.disconnect()
  signal.addEventListener('abort', stop, { once: true })
  try {
    let verdict: Verdict | undefined
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      const { event, ...printed } = JSON.parse(line) as Printed
      if (event === 'happened') tell(printed as Happening)
      if (event === 'verdict') verdict = printed as Verdict
    }
    await ended
    signal.throwIfAborted()
    if (verdict !== undefined) return verdict
    throw new PeerError('scenario_failed', 'The scenario ended without a verdict.')
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
