import { silentLogger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { scheduled } from '../../src/engines/scheduler.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { Provider } from '../../src/market/serve/provider.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import type { Price } from '../../src/wire/job.ts'
import { ScriptedEngine } from '../api/scripted-engine.ts'
import { skewed } from '../base/fake-clock.ts'
import { proofStage } from '../receipts/stage.ts'
import { modelId, NETWORK, type StageOptions, signal, stage } from './coordinator-stage.ts'

export interface BothEndsOptions {
  slots?: number
  price?: Price
  /** What the coordinator may owe. */
  creditLimit?: number
  /** Of the coordinator. */
  own?: StageOptions
  theirBackend?: Backend
  /** The provider’s. */
  publish?: 'receipts' | 'none'
  /** How far the provider’s wall clock is off. */
  theirSkewMs?: number
}

/** A coordinator, and a provider as a peer has it, with a scripted engine. */
export async function bothEnds({
  slots = 4,
  price = { input: 0, output: 0 },
  creditLimit,
  own = {},
  theirBackend = new MemoryBackend(),
  publish = 'receipts',
  theirSkewMs = 0,
}: BothEndsOptions = {}) {
  const all = await stage(own)
  const { hub, list } = all
  const clock = skewed(all.clock, theirSkewMs)
  const engine = new ScriptedEngine()
  const identity = identityFromSeed(new Uint8Array(32).fill(50))
  const network = hub.network(identity.peerId)
  const generate = scheduled(engine.generate, { clock }, { slots })
  // Other names than this side's own models have.
  const theirs = (name: string) => modelId(`their ${name}`)
  const status = () => engine.status().map((model) => ({ ...model, id: theirs(model.name) }))
  const theirProof = await proofStage({
    ...{ clock, identity, network: NETWORK, backend: theirBackend },
  })
  const provider = new Provider(
    {
      ...theirProof,
      network,
      engine: { status, generate },
      identity,
      verify: createVerifyNative(),
      clock,
      logger: silentLogger,
      metrics: noMetrics,
    },
    { network: NETWORK, price, creditLimit, region: 'DE', publish, drainMs: 1_000 },
  )
  await provider.start()
  await network.start({ signal })
  const models = { chat: theirs('test-chat'), embed: theirs('test-embed') }
  list(network, { region: 'DE', model: { name: 'theirs', id: models.chat, slots, price } })
  const { peerId } = identity
  return {
    ...all,
    peerId,
    theirIdentity: identity,
    theirEngine: engine,
    theirProof,
    provider,
    models,
    theirs: network,
  }
}
