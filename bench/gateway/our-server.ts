/**
 * A whole peer, with an engine that answers at once in place of models.
 *
 * `--receipts`: the engine says that it took on the job, as all engines do, so the peer signs what
 * was done and keeps it in its log. Without, it signs and writes nothing: what lies around.
 * `--keys N`: the peer knows so many, and the one to ask with is not its owner's but one of them.
 * `--priced`: its models cost something, so each answer is paid for out of the credits of that key's
 * account, within limits of its rates and of what it may spend that it never reaches.
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
    priced: { type: 'boolean', default: false },
  },
})
const keyCount = Number(values.keys)
/** Keys made at the same time. */
const KEYS_AT_ONCE = 100

const ACCOUNT = 'bench'
/** Nothing of what is asked comes near to any of these. */
const limits = {
  credit_limit: 1e14,
  rpm_limit: 1e9,
  tpm_limit: 1e12,
  concurrency_limit: 1e6,
}

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
  ...(values.priced ? { price: '1000/2000' } : {}),
}
const peer = await createPeer(readConfig({ flags, env: {} }), { engine })
await peer.start({ signal: new AbortController().signal })
const { http, apiKey } = peer.ready()
let key = apiKey
if (values.priced) await post('/credits/grants', { account: ACCOUNT, amount: 1e14 })
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
  const body = { name: 'bench', account: ACCOUNT, ...(values.priced ? limits : {}) }
  return String((await post('/auth/api-keys', body)).key)
}

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${http}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const made = (await response.json()) as Record<string, unknown>
  if (!response.ok) throw new Error(JSON.stringify(made))
  return made
}
