import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { silentLogger } from '../src/base/logger.ts'
import { createPeer, type FlagValues, type Peer, readConfig } from '../src/index.ts'
import { FeedStore } from '../src/receipts/feeds/feed-store.ts'
import { openMemoryStore, type Store } from '../src/storage/store.ts'
import type { Chunk, Done } from '../src/wire/chunk.ts'
import { type Body, decodeEntry, readBody } from '../src/wire/entry.ts'
import { publicKeyOf } from '../src/wire/peer-id.ts'
import { chat, jobOf } from './market/coordinator-stage.ts'

const models = join(import.meta.dirname, '../models')
const never = new AbortController().signal

async function start(flags: FlagValues, components: { store?: Store } = {}): Promise<Peer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-drafting-'))
  const free = { 'no-http': true, listen: ['/ip4/127.0.0.1/tcp/0'], reproducible: true }
  const peer = await createPeer(
    readConfig({ flags: { ...free, 'data-dir': dataDir, ...flags }, env: {} }),
    components,
  )
  onTestFinished(async () => {
    await peer.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await peer.start({ signal: never })
  return peer
}

async function answer(peer: Peer, watched: boolean) {
  const work = chat({ maxTokens: 60 }, 'What is a peer?')
  const chunks: Chunk[] = []
  const job = jobOf({ model: 'large', work, watched })
  for await (const chunk of peer.generate(job, { signal: never })) chunks.push(chunk)
  const text = chunks.map((chunk) => (chunk.type === 'tokens' ? chunk.text : '')).join('')
  return { chunks, text, done: chunks.at(-1) as Done }
}

it('a peer drafts for another, whose answer is the same', { timeout: 60_000 }, async () => {
  const drafter = await start({ model: [`small=${join(models, 'pinaivu-demo-draft-q8_0.gguf')}`] })
  const { peerId, addrs } = drafter.ready()
  const target = await start({
    model: [`large=${join(models, 'pinaivu-demo-q8_0.gguf')}`],
    bootstrap: addrs,
    drafter: [peerId],
  })
  const plain = await answer(target, false)
  expect(plain.done.drafting).toBeUndefined()
  // Until it is found, nobody drafts but the prompt.
  const guessed = await vi.waitUntil(
    async () => {
      const watched = await answer(target, true)
      expect(watched.text).toBe(plain.text)
      return watched.done.drafting?.some((each) => each.drafter === peerId) && watched
    },
    { timeout: 20_000, interval: 100 },
  )
  const counts = guessed.done.drafting?.find((each) => each.drafter === peerId)
  expect(counts?.accepted).toBeGreaterThan(0)
  const ghosts = guessed.chunks.flatMap((each) => (each.type === 'provisional' ? each.drafter : []))
  expect(ghosts).toContain(peerId)
})

/** A peer, and what its log says. */
async function logged(flags: FlagValues) {
  const store = await openMemoryStore({ logger: silentLogger })
  const peer = await start(flags, { store })
  const { peerId, addrs } = peer.ready()
  const feeds = new FeedStore({ store })

  async function bodies(): Promise<Body[]> {
    const author = publicKeyOf(peerId)
    const own = await feeds.tables.own.get({ author, name: 'public' })
    if (own === undefined) return []
    const rows = feeds.entries({ author, epoch: own.epoch }, 0, Number.MAX_SAFE_INTEGER)
    const all: Body[] = []
    for await (const { bytes } of rows) {
      const body = readBody(decodeEntry(bytes).entry)
      if (body !== undefined) all.push(body)
    }
    return all
  }
  const executions = async () =>
    (await bodies()).flatMap((each) => (each.kind === 'execution' ? [each.body] : []))
  const routings = async () =>
    (await bodies()).flatMap((each) => (each.kind === 'routing' ? [each.body] : []))
  return { peer, peerId, addrs, executions, routings }
}

const drafts = <T extends { work: string }>(all: T[]): T[] =>
  all.filter(({ work }) => work === 'draft')

it('is paid for it by that one, and the client pays the same', { timeout: 60_000 }, async () => {
  const small = join(models, 'pinaivu-demo-draft-q8_0.gguf')
  const drafter = await logged({ model: [`small=${small}`], price: '7/1000' })
  const large = join(models, 'pinaivu-demo-q8_0.gguf')
  const bootstrap = drafter.addrs
  const target = await logged({ model: [`large=${large}`], bootstrap, price: '1000/2000' })
  const client = await logged({ bootstrap: target.addrs, drafter: [drafter.peerId] })
  const wait = { timeout: 30_000, interval: 100 }
  const plain = await vi.waitFor(() => answer(client.peer, false), wait)
  const accepted = await vi.waitUntil(async () => {
    const { text, done } = await answer(client.peer, true)
    expect(text).toBe(plain.text)
    return done.drafting?.find((each) => each.drafter === drafter.peerId)?.accepted
  }, wait)
  // They settle it once the answer has ended.
  await vi.waitFor(async () => {
    const signed = drafts(await drafter.executions())
    const owed = drafts(await target.routings())
    expect(signed.at(-1)?.tokens.output).toBe(accepted)
    expect(owed.map(({ jobId }) => jobId)).toEqual(signed.map(({ receipt }) => receipt.jobId))
    expect(owed.every(({ verdict }) => verdict === 'ok')).toBe(true)
    const due = signed.map(({ tokens, price }) => (tokens.output * price.output) / 1_000)
    expect(owed.map(({ amount }) => amount)).toEqual(due)
    const total = due.reduce((sum, amount) => sum + amount, 0)
    expect(owed.at(-1)?.parts[0]?.owedTotal).toBe(total)
  }, wait)
  // Each answer costs what the first one did, for which nobody drafted.
  const [first, ...others] = await client.routings()
  expect(first?.amount).toBeGreaterThan(0)
  for (const { amount } of others) expect(amount).toBe(first?.amount)
})
