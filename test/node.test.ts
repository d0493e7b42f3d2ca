import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createPeer, type FlagValues, readConfig } from '../src/index.ts'
import type { PeerComponents } from '../src/node.ts'
import { type Script, ScriptedEngine } from './api/scripted-engine.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-node-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A peer without models, on free ports. */
function make(dataDir: string, flags: FlagValues = {}, components: Partial<PeerComponents> = {}) {
  const free = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], 'no-demo': true }
  const config = readConfig({ flags: { ...free, 'data-dir': dataDir, ...flags }, env: {} })
  return createPeer(config, components)
}

const never = new AbortController().signal
const nothing = async () => {}

/** One token, and no end of its own. */
const endless: Script = async function* (_job, signal) {
  yield { type: 'accepted', inputTokens: 1 }
  yield { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'So' }
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 1 }
  yield { type: 'done', finish: ['cancelled'], usage }
}

describe('a peer inside this process', () => {
  it('is started once, and goes on when asked again', async () => {
    const peer = await make(folder())
    expect(() => peer.ready()).toThrow(/has not started/)
    await peer.start({ signal: never })
    await expect(peer.start({ signal: never })).rejects.toMatchObject({ code: 'peer_used' })
    expect((await fetch(`${peer.ready().http}/healthz`)).status).toBe(200)
    await Promise.all([peer.stop(), peer.stop()])
    await expect(peer.start({ signal: never })).rejects.toMatchObject({ code: 'peer_used' })
    await expect(fetch(`${peer.ready().http}/healthz`)).rejects.toThrow()
  })

  it('that was stopped before it started stays stopped, and its folder is free', async () => {
    const dataDir = folder()
    const first = await make(dataDir)
    await first.stop()
    await expect(first.start({ signal: never })).rejects.toMatchObject({ code: 'peer_used' })
    await (await make(dataDir)).stop()
  })

  it('ends its start when it is stopped meanwhile', async () => {
    const dataDir = folder()
    const peer = await make(dataDir)
    const [start] = await Promise.allSettled([peer.start({ signal: never }), peer.stop()])
    expect(start).toMatchObject({ status: 'rejected', reason: { name: 'AbortError' } })
    expect(readdirSync(dataDir).sort()).toEqual(['files', 'identity.key', 'owner.key', 'store'])
    await (await make(dataDir)).stop()
  })

  it('lives beside another, and keeps it out of its data folder', async () => {
    const dataDir = folder()
    const [one, two] = [await make(dataDir), await make(folder())]
    onTestFinished(async () => void (await Promise.all([one.stop(), two.stop()])))
    await Promise.all([one.start({ signal: never }), two.start({ signal: never })])
    expect(one.ready().peerId).not.toBe(two.ready().peerId)
    await expect(make(dataDir)).rejects.toMatchObject({ code: 'data_dir_in_use' })
  })

  it('tells a client whose answer outlasts the stop why it ends', async () => {
    const engine = Object.assign(new ScriptedEngine(), { start: nothing, stop: nothing })
    engine.script = endless
    const peer = await make(folder(), { drain: '0' }, { engine })
    await peer.start({ signal: never })
    const { http, apiKey } = peer.ready()
    const answer = await fetch(`${http}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        ...{ model: 'test-chat', stream: true },
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    })
    const text = answer.text()
    await peer.stop()
    expect(await text).toMatch(/data: \{"error":.*"code":"shutting_down".*\n\n$/)
  })

  it('shows an address that can be asked when it listens on all', async () => {
    const peer = await make(folder(), { http: '0.0.0.0:0', 'insecure-http': true })
    onTestFinished(() => peer.stop())
    await peer.start({ signal: never })
    expect(peer.ready().http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await fetch(`${peer.ready().http}/healthz`)).status).toBe(200)
  })

  it('says so when it cannot leave its address in the data folder, and stops cleanly', async () => {
    const dataDir = folder()
    mkdirSync(join(dataDir, 'peer.json', 'full'), { recursive: true })
    const peer = await make(dataDir)
    await expect(peer.start({ signal: never })).rejects.toMatchObject({
      code: 'data_dir_unwritable',
    })
    await peer.stop()
  })
})
