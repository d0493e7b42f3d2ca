import { messageOf, PeerError, seededRandom } from '../../src/index.ts'
import { TestnetPeerError } from '../peer-process.ts'
import { bootstrapDown } from './bootstrap-down.ts'
import { churn } from './churn.ts'
import { Findings, type Happening, type Verdict } from './findings.ts'
import { Lan } from './lan.ts'
import { freezeProvider, killProvider } from './lost-provider.ts'
import { partition } from './partition.ts'
import { restartAll } from './restart-all.ts'
import type { Scene } from './scene.ts'
import { slowPeer } from './slow-peer.ts'
import { Stage, type StageOptions } from './stage.ts'

interface Scenario {
  summary: string
  /** It is better with a network of its own. */
  wantsNetwork?: boolean
  run(scene: Scene): Promise<void>
}

export const scenarios = {
  'kill-provider': {
    summary: 'A provider is killed in the middle of an answer; another goes on.',
    run: killProvider,
  },
  freeze: {
    summary: 'A provider stands still in the middle of an answer; another goes on.',
    run: freezeProvider,
  },
  partition: {
    summary: 'A part of the network is cut off in the middle of an answer, and comes back.',
    wantsNetwork: true,
    run: partition,
  },
  'slow-peer': {
    summary: 'One provider is far slower than the others; it is given less to do.',
    wantsNetwork: true,
    run: slowPeer,
  },
  churn: {
    summary: 'Providers are killed, stopped, frozen and started again while clients ask.',
    run: churn,
  },
  'bootstrap-down': {
    summary: 'The peer through which all joined is gone.',
    run: bootstrapDown,
  },
  'restart-all': {
    summary: 'All peers are killed at once and started again; what was told is kept.',
    run: restartAll,
  },
} satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof scenarios

export const scenarioNames = Object.keys(scenarios) as ScenarioName[]

/** A name as typed. */
export const isScenario = (name: string): name is ScenarioName => Object.hasOwn(scenarios, name)

export const wantsNetwork = (name: ScenarioName): boolean => {
  const scenario: Scenario = scenarios[name]
  return scenario.wantsNetwork === true
}

export interface ScenarioOptions extends StageOptions {
  /** What is drawn: when, who, how. */
  seed: number
  /** This process has a network of its own. */
  hasNetwork: boolean
  tell: (happening: Happening) => void
}

/** Real peers, to which it happens; what came of it is the result. */
export async function runScenario(name: ScenarioName, options: ScenarioOptions): Promise<Verdict> {
  const { seed, hasNetwork, tell, signal } = options
  const findings = new Findings(tell)
  const stage = new Stage({
    ...options,
    onDown: (fallen, reason) => findings.finds('alive', false, `${fallen} ended (${reason}).`),
  })
  const lan = hasNetwork && wantsNetwork(name) ? new Lan() : undefined
  try {
    await stage.open()
    await lan?.open()
    await scenarios[name].run({ stage, findings, lan, random: seededRandom(seed) })
  } catch (error) {
    signal.throwIfAborted()
    // What was waited for did not come: that is what came of it.
    if (!(error instanceof PeerError)) throw error
    if (error instanceof TestnetPeerError) for (const line of error.log) findings.say(line)
    findings.finds('end', false, messageOf(error))
  } finally {
    await stage.close()
    lan?.close()
  }
  return findings.verdict(name, seed)
}
