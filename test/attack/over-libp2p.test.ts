import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import type { PeersJson } from '../../src/api/network-schema.ts'
import { systemClock } from '../../src/base/clock.ts'
import { type Random, systemRandom } from '../../src/base/random.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { createPeer, type FlagValues, type Peer, readConfig } from '../../src/index.ts'
import { EXPLORED_OF } from '../../src/market/choose/dispatcher.ts'
import type { PeerComponents } from '../../src/node.ts'
import type { AdvertModel } from '../../src/wire/advert.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import type { Job } from '../../src/wire/job.ts'
import { ANSWER_TEXT, ScriptedEngine, talk } from '../api/scripted-engine.ts'
import { modelId, signal } from '../market/coordinator-stage.ts'
import { Writer } from '../market/failover/writer.ts'
import { newHost, stopHosts } from '../network/hosts.ts'
import { HostilePeer } from './hostile-peer.ts'
import { babblers, leavers, type ProviderAttack } from './provider-attacks.ts'

const NETWORK = 'attacked'
const MODEL = 'test-chat'
const CLAIMED = 1e6
const nothing = async () => {}
const patient = { timeout: 20_000, interval: 100 }

/** As the engine of the honest one begins. */
const STORY = [['Hello', ' there', ',', ' f']]

afterEach(stopHosts)

async function started(flags: FlagValues, parts: Partial<PeerComponents> = {}): Promise<Peer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-attack-'))
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const free = { http: '127.0.0.1:0', listen, 'no-demo': true, network: NETWORK }
  const peer = await createPeer(
    readConfig({ flags: { ...free, 'data-dir': dataDir, ...flags }, env: {} }),
    parts,
  )
  onTestFinished(async () => {
    await peer.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await peer.start({ signal })
  return peer
}

/** Goes on where it is to. */
async function* resuming(job: Job, ending: AbortSignal): AsyncGenerator<Chunk> {
  const from = job.resume?.[0]?.ids.length ?? 0
  for await (const chunk of talk(job, ending)) {
    if (chunk.type === 'tokens' && chunk.index < from) continue
    if (chunk.type === 'done') chunk.usage.outputTokens -= from
    yield chunk
  }
}

/** Has the model that the others have, and is the fastest, as it says. */
async function hostile(bootstrap: string[], attack: ProviderAttack, seed: number) {
  const identity = identityFromSeed(new Uint8Array(32).fill(seed))
  const network = await newHost({ network: NETWORK, bootstrap }, { identity })
  const id = modelId(MODEL)
  const model: AdvertModel = {
    ...{ name: MODEL, id, kind: 'chat', family: 'llama', parameters: 1_000, quant: 'F32' },
    ...{ contextLength: 512, embeddingLength: 0, capabilities: ['chat'], slots: 1_000 },
    price: { input: 0, output: 0 },
  }
  const load = { id, ready: true, slots: 1_000, running: 0, queued: 0, tokensPerSecond: CLAIMED }
  const peer = new HostilePeer(
    { network, identity, clock: systemClock, name: NETWORK },
    (line) => {
      const writer = new Writer(line, { story: STORY, step: 2, held: 0 })
      return attack.serve({ line, writer, clock: systemClock })
    },
    { models: [model], load: [load] },
  )
  await network.start({ signal })
  return peer
}

/** Of twenty requests one would try another than the best: here the best are to be tried. */
const steady: Random = {
  bytes: (length) => systemRandom.bytes(length),
  below: (limit) => (limit === EXPLORED_OF ? 1 : systemRandom.below(limit)),
}

// On a busy machine what they boast of may be forgotten again, so that nobody asks them: once more, then.
test('over real connections as well, hostile providers cost no answer', { retry: 3 }, async () => {
  const gateway = await started({ roles: 'coordinator' }, { random: steady })
  const { addrs, http, apiKey } = gateway.ready()
  const engine = Object.assign(new ScriptedEngine(), { start: nothing, stop: nothing })
  engine.script = resuming
  for (const status of engine.status()) status.id = modelId(status.name)
  await started({ roles: 'provider', bootstrap: addrs }, { engine })
  const attacks = [...leavers, ...babblers].filter(({ name }) => /behind some/.test(name))
  const attackers = await Promise.all(attacks.map((each, n) => hostile(addrs, each, 150 + n)))
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const boasters = async () => {
    const { data } = (await (await fetch(`${http}/v8/network/peers`)).json()) as PeersJson
    const claims = data.flatMap(({ models }) => models.map(({ load }) => load?.tokens_per_second))
    return claims.filter((speed) => speed === CLAIMED)
  }
  // Until all that they boast of was heard the honest one may be the first that is asked.
  await vi.waitFor(async () => expect(await boasters()).toHaveLength(attackers.length), patient)
  const body = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'Hello' }] })
  for (let n = 0; n < 10; n++) {
    const answer = await fetch(`${http}/v1/chat/completions`, { method: 'POST', headers, body })
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] }
    expect(choices[0]?.message.content).toBe(ANSWER_TEXT)
  }
  // Nobody knew who was honest, and these say that they are the best; then there are two ventures.
  const reached = attackers.flatMap(({ lines }) => lines).length
  expect(reached).toBeGreaterThan(0)
  expect(reached).toBeLessThanOrEqual(attackers.length + 2)
})
