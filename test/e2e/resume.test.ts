import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import { demoF32 } from '../gguf/lane.ts'
import { type Ask, Coordinator, chat, type Line, NETWORK } from '../market/serve-stage.ts'
import { startHost, stopHosts } from '../network/hosts.ts'
import { type PeerProcess, startPeer } from './peer-process.ts'

const sha256 = (bytes: string | Uint8Array) =>
  new Uint8Array(createHash('sha256').update(bytes).digest())

describe('a provider', () => {
  let peer: PeerProcess
  let coordinator: Coordinator
  let model: string

  beforeAll(async () => {
    const path = demoF32()
    model = cidModelId(sha256(readFileSync(path)))
    const args = ['--reproducible', '--network', NETWORK, '--model', path]
    peer = await startPeer({ args })
    const identity = identityFromSeed(new Uint8Array(32).fill(41))
    const host = await startHost({ network: NETWORK }, { identity })
    const { peerId, addrs } = peer.ready
    const { signal } = new AbortController()
    await host.connect(peerId, addrs, { signal })
    const open = () => host.open(peerId, 'generate/1', { signal })
    coordinator = new Coordinator({ identity, provider: peerId, open })
  })
  afterAll(async () => {
    await stopHosts()
    await peer.stop()
  })

  /** One job to its last frame; until the file was read, nobody knows that the model is this one. */
  async function run(ask: Ask): Promise<Line> {
    const signal = AbortSignal.timeout(20_000)
    for (;;) {
      const line = await coordinator.ask({ model, ...ask })
      while (!line.has('done') && !line.has('refuse') && !line.has('failed')) {
        await sleep(5, undefined, { signal })
      }
      if (line.has('done')) await line.ack()
      if (!line.has('refuse') || line.last('refuse').code !== 'unknown_model') return line
      await sleep(50, undefined, { signal })
    }
  }

  it('goes on with what another began, over the network, and signs its part', async () => {
    const work = chat('Tell me a story.', { temperature: 1, seed: 99, maxTokens: 40 })
    const whole = await run({ work })
    const ids = whole.all('tokens').flatMap((frame) => frame.ids)
    expect(ids.length).toBeGreaterThan(20)
    for (const frames of [1, 7, whole.all('tokens').length - 1]) {
      const some = whole.all('tokens').slice(0, frames)
      const text = some.map((frame) => frame.text).join('')
      const resume = [{ choice: 0, text, ids: some.flatMap((frame) => frame.ids) }]
      const at = resume[0]?.ids.length ?? 0
      const jobId = `job_resumed_${frames}.2`
      const rest = await run({ work, resume, jobId })
      expect(rest.last('accept').resumedAt).toEqual([at])
      expect(rest.all('tokens')[0]?.first).toBe(at)
      expect(text + rest.text()).toBe(whole.text())
      expect(rest.all('tokens').flatMap((frame) => frame.ids)).toEqual(ids.slice(at))
      const { finish, usage, receipt } = rest.last('done')
      expect(finish).toEqual(whole.last('done').finish)
      expect(usage.outputTokens).toBe(ids.length - at)
      expect(receipt?.resultHash).toEqual(sha256(rest.text()))
      expect(receipt?.meteringUnits).toBe(usage.inputTokens + ids.length - at)
    }
  })

  it('refuses what this model can not have said', async () => {
    const line = await run({ work: chat(), resume: [{ choice: 0, text: 'no', ids: [400] }] })
    expect(line.last('refuse').code).toBe('invalid_resume')
  })
})
