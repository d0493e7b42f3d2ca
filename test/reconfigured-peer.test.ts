import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createPeer, type FlagValues, type Peer, readConfig } from '../src/index.ts'
import { cidModelId } from '../src/wire/model-id.ts'
import { ScriptedEngine } from './api/scripted-engine.ts'

const never = new AbortController().signal
const nothing = async () => {}

/** Of two peers, both with the same scripted models if any. */
async function start(more: FlagValues, engine?: ScriptedEngine) {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-reconfigured-'))
  const free = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], 'no-demo': true }
  const read = () => readConfig({ flags: { ...free, 'data-dir': dataDir, ...more }, env: {} })
  const components =
    engine === undefined ? {} : { engine: Object.assign(engine, { start: nothing, stop: nothing }) }
  const peer = await createPeer(read(), components)
  onTestFinished(async () => {
    await peer.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await peer.start({ signal: never })
  const reconfigure = (toml: string) => {
    writeFileSync(join(dataDir, 'config.toml'), toml)
    return peer.reconfigure(read())
  }
  return { peer, reconfigure }
}

async function shown(peer: Peer, model: string) {
  const { http, apiKey } = peer.ready()
  const headers = { authorization: `Bearer ${apiKey}` }
  const answer = await fetch(`${http}/v1/models/${model}`, { headers })
  const { id, price, nodes } = (await answer.json()) as Record<string, unknown>
  return { status: answer.status, id, price, nodes }
}

it('a running peer asks for another price, and others hear of it', {
  timeout: 30_000,
}, async () => {
  const engine = new ScriptedEngine()
  for (const status of engine.status()) {
    status.id = cidModelId(createHash('sha256').update(status.name).digest())
  }
  const provider = await start({ price: undefined }, engine)
  const client = await start({ bootstrap: provider.peer.ready().addrs })
  const priced = (input: number, output: number) =>
    vi.waitUntil(
      async () => {
        const { price } = await shown(client.peer, 'test-chat')
        return JSON.stringify(price) === JSON.stringify({ input, output })
      },
      { timeout: 10_000, interval: 50 },
    )
  await priced(0, 0)
  expect(provider.reconfigure('price = "40/120"\nregion = "DE"\n')).toEqual({
    changed: ['price'],
    needsRestart: ['region'],
  })
  await priced(40, 120)
  expect((await shown(provider.peer, 'test-chat')).price).toEqual({ input: 40, output: 120 })
  // A name of one's own for what another serves.
  expect((await shown(client.peer, 'mine')).status).toBe(404)
  client.reconfigure('[aliases]\nmine = "test-chat"\n')
  expect(await shown(client.peer, 'mine')).toMatchObject({
    status: 200,
    price: { input: 40, output: 120 },
    nodes: 1,
  })
})
