import { Testnet, type TestnetOptions } from './testnet.ts'

// The door to a testnet, for the program, the tests and the benches.

export type { PeerFigures } from './figures.ts'
export { type PeerState, type ReadyLine, TestnetPeerError } from './peer-process.ts'
export { peerBytes, peersMax, peersMin } from './plan.ts'
export { type ApartOptions, runApart } from './scenario/apart.ts'
export type { Finding, Happening, Verdict } from './scenario/findings.ts'
export { isScenario, type ScenarioName, scenarioNames, scenarios } from './scenario/scenarios.ts'
export { gatewayPlan, providerPlan, Stage } from './scenario/stage.ts'
export { Testnet, type TestnetEvent, type TestnetOptions, type TestnetPeer } from './testnet.ts'

/**
 * Real peers as processes of this machine. The first is the one to talk to; it serves nothing itself.
 *
 * ```ts
 * const testnet = await startTestnet({ peers: 3, programPath, env: process.env, signal })
 * const { http, apiKey } = testnet.first
 * await testnet.stop()
 * ```
 */
export async function startTestnet({
  signal,
  ...options
}: TestnetOptions & { signal: AbortSignal }): Promise<Testnet> {
  const testnet = new Testnet(options)
  try {
    await testnet.start({ signal })
    return testnet
  } catch (error) {
    await testnet.stop()
    throw error
  }
}
