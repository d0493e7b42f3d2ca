import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createPeer, type FlagValues, type Peer, readConfig } from '../src/index.ts'
import type { Chunk, Done } from '../src/wire/chunk.ts'
import { chat, jobOf } from './market/coordinator-stage.ts'

const models = join(import.meta.dirname, '../models')
const never = new AbortController().signal

async function start(flags: FlagValues): Promise<Peer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-drafting-'))
  const free = { 'no-http': true, listen: ['/ip4/127.0.0.1/tcp/0'], reproducible: true }
  const peer = await createPeer(
    readConfig({ flags: { ...free, 'data-dir': dataDir, ...flags }, env: {} }),
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
