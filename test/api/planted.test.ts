import { expect, it } from 'vitest'
import { check } from '../../src/api/check.ts'
import type { Schema } from '../../src/api/schema.ts'
import {
  filesOf,
  findAll,
  type PlantedPeer,
  rowsOf,
  type Seen,
  sha256,
  spellingsOf,
  startPeers,
} from './planted-stage.ts'

// Whatever clients say and hear is between them and those that work for them. Things that are found
// nowhere else are planted, and looked for in all that peers show, say to each other and keep.

const planted = {
  system: 'Zyzzyva-quixotic-system-prompt-7f3a',
  prompt: 'Whisper-of-the-Xanthic-Ocelot-91c4?',
  text: 'Pellucid-Wombat-Completion-5b22',
  input: 'Embedded-Narwhal-Secret-c0de',
  user: 'user-Quokka-4d1f-ünïcode',
  account: 'acct-Fnord-Vexillology-88',
}
const output = ['Answer-of-the-', 'Umbral-Kakapo', '-e71b']
const answer = output.join('')

const model = 'test-chat'
const work: [path: string, body: object][] = [
  [
    '/v1/chat/completions',
    {
      model,
      messages: [
        { role: 'system', content: planted.system },
        { role: 'user', content: planted.prompt },
      ],
      user: planted.user,
      metadata: { note: planted.user },
    },
  ],
  [
    '/v1/chat/completions',
    { model, stream: true, messages: [{ role: 'user', content: planted.prompt }] },
  ],
  ['/v1/completions', { model, prompt: planted.text, user: planted.user }],
  ['/v1/embeddings', { model: 'test-embed', input: planted.input }],
]

const archive = { roles: 'archive' }
const gateway = { roles: 'coordinator' }
const provider = { roles: 'provider,coordinator' }

const ask = (peer: PlantedPeer, path: string, key?: string, body?: unknown) =>
  fetch(`${peer.http}${path}`, {
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  })

async function newKey(peer: PlantedPeer, account: string): Promise<string> {
  const body = { name: 'planted', account }
  const made = await ask(peer, '/api/v1/auth/api-keys', peer.ownerKey, body)
  return ((await made.json()) as { key: string }).key
}

/** Until it knows of the provider. */
async function untilOffered(peer: PlantedPeer): Promise<void> {
  const offered = async () => {
    const models = await (await ask(peer, '/v1/models', peer.ownerKey)).json()
    return (models as { data: { id: string }[] }).data.map(({ id }) => id)
  }
  await expect.poll(offered, { timeout: 10_000 }).toEqual(expect.arrayContaining(['test-embed']))
}

/** All of the work, done through this peer; what its client heard. */
async function doAll(peer: PlantedPeer, key: string): Promise<string[]> {
  const heard: string[] = []
  for (const [path, body] of work) {
    const response = await ask(peer, path, key, body)
    heard.push(`${JSON.stringify([...response.headers])} ${await response.text()}`)
    expect([path, response.status]).toEqual([path, 200])
  }
  return heard
}

interface Api {
  paths: Record<string, { get?: { security?: unknown[]; responses: Record<string, Documented> } }>
}
type Documented = { content?: Record<string, { schema: Schema }> }

const apiOf = async (peer: PlantedPeer) =>
  (await (await ask(peer, '/api/v1/openapi.json')).json()) as Api

const schemaOf = ({ paths }: Api, path: string): Schema | undefined =>
  paths[path]?.get?.responses['200']?.content?.['application/json']?.schema

/** What anybody may ask this peer for: all that its own description names, and its pages. */
async function publicAnswers(peer: PlantedPeer, names: Record<string, string[]>): Promise<Seen[]> {
  const api = await apiOf(peer)
  const open = Object.keys(api.paths).filter((path) => api.paths[path]?.get?.security?.length === 0)
  expect(open).toEqual(expect.arrayContaining(['/v8/receipts/{cid}', '/v8/log/{author}']))
  const all = [...open, '/', '/metrics'].flatMap((path) => {
    const [, parameter] = /\{(.*)\}/.exec(path) ?? []
    if (parameter === undefined) return [{ path, asked: path }]
    const values = names[parameter]
    if (values === undefined) throw new Error(`say what {${parameter}} can be`)
    return values.map((value) => ({ path, asked: path.replace(`{${parameter}}`, value) }))
  })
  const seen: Seen[] = []
  for (const { path, asked } of all) {
    const response = await ask(peer, asked)
    const head = JSON.stringify([...response.headers])
    const body = Buffer.from(await response.arrayBuffer())
    const schema = response.status === 200 ? schemaOf(api, path) : undefined
    // What it says of itself is true.
    if (schema !== undefined) expect(check(schema, JSON.parse(`${body}`))).toBeUndefined()
    // Every receipt is found, wherever it is; who did nothing has no log, and a file needs a signature.
    if (path !== '/v8/log/{author}' && !path.includes('/files/'))
      expect([asked, response.status]).toEqual([asked, 200])
    seen.push({ where: `GET ${asked}`, bytes: Buffer.concat([Buffer.from(head), body]) })
  }
  return seen
}

async function publicEntries(peer: PlantedPeer): Promise<Seen[]> {
  const heads = await (await ask(peer, '/v8/log/heads')).json()
  const { data } = heads as { data: { author: string; epoch: string }[] }
  const logs = data.map(async ({ author, epoch }) => {
    const text = await (await ask(peer, `/v8/log/${author}?epoch=${epoch}`)).text()
    return text.trimEnd().split('\n').slice(1)
  })
  return (await Promise.all(logs)).flat().map((line) => {
    const { cid, entry_b64 } = JSON.parse(line) as { cid: string; entry_b64: string }
    return { where: `entry ${cid}`, bytes: Buffer.from(entry_b64, 'base64') }
  })
}

const noncesIn = (heard: readonly string[]): Buffer[] =>
  heard.flatMap((text) =>
    [...text.matchAll(/"prompt_nonce":"([0-9a-f]{64})"/g)].map(([, hex]) =>
      Buffer.from(hex as string, 'hex'),
    ),
  )

const cidsIn = (heard: readonly string[]): string[] =>
  heard.flatMap((text) => text.match(/(ryv1:sha256:|baf[ky]rei)\w+/g) ?? [])

const requestsIn = (heard: readonly string[]): string[] =>
  heard.flatMap((text) => /"request_id":"(req_\w+)"/.exec(text)?.[1] ?? [])

/** Nobody but the client and its provider may have any of these, nor what they are hashed to. */
function privateThings(peers: readonly PlantedPeer[], heard: readonly string[], keys: string[]) {
  const bodies = peers.flatMap(({ engine }) => engine.bodies)
  const { account, ...said } = planted
  const texts = [...Object.values(said), ...work.map(([, body]) => JSON.stringify(body))]
  const both = (of: string | Uint8Array) => [...spellingsOf(of), ...spellingsOf(sha256(of))]
  return {
    prompt: [...texts, ...bodies].flatMap(both),
    // The hash of the whole answer is public: it is what a receipt is about.
    output: [answer, ...output].flatMap(spellingsOf),
    'part of the output': output.flatMap((piece) => spellingsOf(sha256(piece))),
    account: both(account),
    key: keys.flatMap((key) => [...both(key), Buffer.from(key.slice(0, 12))]),
    nonce: noncesIn(heard).flatMap(both),
    request: requestsIn(heard).flatMap((id) => spellingsOf(id)),
  }
}

it('nothing that is public, and no entry, holds what was said, by whom, or hashes of it', async () => {
  const { peers, frames, lines } = await startPeers([archive, gateway, provider], output)
  const [keeper, front, worker] = peers as [PlantedPeer, PlantedPeer, PlantedPeer]
  await untilOffered(front)
  const keys = [await newKey(front, planted.account), await newKey(worker, planted.account)]
  const [frontKey, workerKey] = keys as [string, string]
  // Of another peer's work, and of its own.
  const heard = [...(await doAll(front, frontKey)), ...(await doAll(worker, workerKey))]

  const hasAll = async () => (await publicEntries(keeper)).length
  const executions = 2 * work.length
  await expect.poll(hasAll, { timeout: 10_000 }).toBe(2 * executions)
  const cids = cidsIn(heard)
  const entries = (await Promise.all(peers.map(publicEntries))).flat()
  const entryCids = entries.map(({ where }) => where.slice('entry '.length))
  const names = {
    cid: [...new Set([...cids, ...entryCids])],
    author: peers.map(({ peerId }) => peerId),
    id: [`file_${'0'.repeat(26)}`],
  }
  const answers = await Promise.all(peers.map((peer) => publicAnswers(peer, names)))

  const secrets = privateThings(peers, heard, [...keys, ...peers.map((peer) => peer.ownerKey)])
  expect(secrets.nonce.length).toBeGreaterThan(0)
  expect(secrets.request.length).toBeGreaterThan(0)
  expect(findAll(secrets, answers.flat())).toEqual([])
  expect(findAll(secrets, entries)).toEqual([])

  // Between peers only those hear of it that work on it: not of the account, nor of the key.
  const between = new Set(frames.map(({ where }) => where))
  expect([...between].sort()).toEqual(
    expect.arrayContaining(['advert/1', 'generate/1', 'log/1', 'sync/1']),
  )
  const isWork = ({ where }: Seen) => where === 'generate/1'
  expect(
    findAll(
      secrets,
      frames.filter((frame) => !isWork(frame)),
    ),
  ).toEqual([])
  const { account, key, request } = secrets
  expect(findAll({ account, key, request }, frames.filter(isWork))).toEqual([])
  // This would find something if there were something.
  expect(findAll(secrets, frames.filter(isWork))).toEqual([
    ...['nonce at generate/1', 'output at generate/1', 'prompt at generate/1'],
  ])
  const answerHash = { hash: spellingsOf(sha256(answer)) }
  expect(findAll(answerHash, entries).length).toBeGreaterThanOrEqual(2)

  const { prompt, output: said, nonce } = secrets
  expect(findAll({ prompt, said, nonce, key }, lines)).toEqual([])

  await Promise.all(peers.map((peer) => peer.stop()))
  const all = peers.flatMap(filesOf)
  const texts = [...keys, ...peers.map((peer) => peer.ownerKey)].map((text) => Buffer.from(text))
  const { 'part of the output': parts } = secrets
  expect(all.length).toBeGreaterThan(3)
  expect(findAll({ prompt, said, parts, nonce, texts }, all)).toEqual([])
  // What is kept of keys and accounts: what a key is known by, and whose request it was.
  const rows = (await Promise.all(peers.map(rowsOf))).flat()
  expect(findAll({ account, key }, rows)).toEqual([
    ...['account at api-keys', 'account at requests', 'account at usage-days', 'key at api-keys'],
  ])
}, 60_000)

it('what is not published is nothing to anybody but its account', async () => {
  const quiet = { ...gateway, publish: 'none' }
  const { peers } = await startPeers([quiet, provider], output)
  const [front, worker] = peers as [PlantedPeer, PlantedPeer]
  await untilOffered(front)
  const key = await newKey(front, planted.account)
  const stranger = await newKey(front, 'stranger')
  const heard = await doAll(front, key)
  for (const peer of peers) {
    expect(await publicEntries(peer)).toEqual([])
    expect(await (await ask(peer, '/v8/receipts/recent')).json()).toMatchObject({ data: [] })
  }
  const cids = [...new Set(cidsIn(heard))]
  const requests = requestsIn(heard)
  // Both spellings of each; and of the stream, the open one in its head.
  expect([cids.length, requests.length]).toEqual([2 * work.length + 1, work.length])
  const statuses = (ask: (id: string) => Promise<Response>, ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await ask(id)).status))
  const none = (ids: readonly string[]) => ids.map(() => 404)
  for (const peer of [front, worker]) {
    const open = (id: string) => ask(peer, `/v8/receipts/${id}`)
    expect(await statuses(open, cids)).toEqual(none(cids))
  }
  const by = (whose: string) => (id: string) => ask(front, `/v1/receipts/${id}`, whose)
  const all = [...cids, ...requests]
  expect(await statuses(by(stranger), all)).toEqual(none(all))
  expect(await statuses(by(key), all)).toEqual(all.map(() => 200))
  const schema = schemaOf(await apiOf(front), '/v1/receipts/{id}') as Schema
  for (const request of requests) {
    const receipt = await (await by(key)(request)).json()
    expect(receipt).toMatchObject({ request_id: request, verified: true, verdict: 'ok' })
    expect(check(schema, receipt)).toBeUndefined()
  }
}, 60_000)
