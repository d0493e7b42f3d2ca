/**
 * A whole peer, with an engine that answers at once in place of models.
 *
 * `--receipts`: the engine says that it took on the job, as all engines do, so the peer signs what
 * was done and keeps it in its log. Without, it signs and writes nothing: what lies around.
 * `--keys N`: the peer knows so many, and the one to ask with is not its owner's but one of them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createPeer, type ModelStatus, type PeerComponents, readConfig } from '../../src/index.ts'
import { answerPieces } from './answers.ts'
import { announce } from './serve.ts'

const { values } = parseArgs({
  options: {
    receipts: { type: 'boolean', default: false },
    keys: { type: 'string', default: '1' },
  },
})
const keyCount = Number(values.keys)
/** Keys made at the same time. */
const KEYS_AT_ONCE = 100

const status = (name: string): ModelStatus => ({
  name,
  state: 'ready',
  created: 1_750_000_000,
  demo: false,
  slots: 100,
  running: 0,
  queued: 0,
})

/** `whole` answers in one chunk, `pieces` token by token. */
const models = new Map(['whole', 'pieces'].map((name) => [name, status(name)]))

const engine: PeerComponents['engine'] = {
  start: async () => {},
  stop: async () => {},
  status: () => [...models.values()],
  resolve: (name) => models.get(name),
  hardware: () => ({ gpus: [], cpu: 'none', cpuThreads: 1, ramBytes: 1, backend: 'cpu' }),
  onChange: () => () => {},
  onLoad: () => () => {},
  async *generate(job) {
    if (values.receipts) yield { type: 'accepted', inputTokens: 32 }
    const pieces = job.model === 'whole' ? [answerPieces.join('')] : answerPieces
    for (const [index, text] of pieces.entries()) {
      yield { type: 'tokens', choice: 0, index, ids: [index], text }
    }
    const usage = { inputTokens: 32, cachedTokens: 0, outputTokens: answerPieces.length }
    yield { type: 'done', finish: ['stop'], usage }
  },
}

const dataDir = await mkdtemp(join(tmpdir(), 'pinaivu-bench-peer-'))
const flags = {
  'data-dir': dataDir,
  http: '127.0.0.1:0',
  listen: ['/ip4/127.0.0.1/tcp/0'],
  'no-demo': true,
}
const peer = await createPeer(readConfig({ flags, env: {} }), { engine })
await peer.start({ signal: new AbortController().signal })
const { http, apiKey } = peer.ready()
let key = apiKey
for (let made = 1; made < keyCount; made += KEYS_AT_ONCE) {
  const keys = await Promise.all(Array.from({ length: KEYS_AT_ONCE }, makeKey))
  key = keys.at(-1) ?? key
}
process.once('disconnect', async () => {
  await peer.stop()
  await rm(dataDir, { recursive: true })
  process.exit()
})
announce(Number(new URL(String(http)).port), key)

async function makeKey(): Promise<string> {
  const response = await fetch(`${http}/api/v1/auth/api-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench', account: 'bench' }),
  })
  const made: { key?: string } = await response.json()
  if (made.key === undefined) throw new Error(JSON.stringify(made))
  return made.key
}
