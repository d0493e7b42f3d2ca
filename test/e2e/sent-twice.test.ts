import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { loadIdentity } from '../../src/identity/key-file.ts'
import { openLevel } from '../../src/storage/level-backend.ts'
import { rounds } from '../campaign.ts'
import { proofStage } from '../receipts/stage.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// Clients send requests with an Idempotency-Key, the peer is killed at any moment, and they send all of
// them again. Each was then worked for, and would be charged, exactly once; an answer stays the same.

const KILLS = rounds(1, 60)
const KILLED_MS_MAX = 600
const PLAIN = 4
const STREAMED = 2

interface Sent {
  key: string
  body: object
  /** What came whole before the peer was killed. */
  told?: string
}

const requests = (kill: number): Sent[] =>
  Array.from({ length: PLAIN + STREAMED }, (_, n) => ({
    key: `kill-${kill}-${n}`,
    body: {
      model: 'pinaivu-demo',
      messages: [{ role: 'user', content: `Say something of ${n}.` }],
      ...{ max_tokens: 12, temperature: 0, stream: n >= PLAIN },
    },
  }))

async function send(peer: PeerProcess, { key, body }: Sent) {
  const headers = { 'idempotency-key': key }
  for (;;) {
    const answer = await ask(peer.ready, '/v1/chat/completions', body, { headers })
    const text = await answer.text()
    // What the first connection asked for may still be under way.
    if (!text.includes('idempotency_in_progress')) return { status: answer.status, text }
    await sleep(50)
  }
}

/** Entries on the disk of one that does not run, each of which says what an answer costs. */
async function settlements(path: string): Promise<number> {
  const identity = await loadIdentity(path, { random: systemRandom })
  const backend = await openLevel(path)
  const proof = await proofStage({ clock: systemClock, identity, network: 'main', backend })
  try {
    return (await proof.bodies()).filter(({ kind }) => kind === 'routing').length
  } finally {
    await proof.store.close()
  }
}

const seed = Number(process.env.PINAIVU_SEED ?? systemRandom.below(2 ** 31))

describe('requests that are sent twice, around a SIGKILL', () => {
  it(`are worked for once (seed ${seed})`, { timeout: 900_000 }, async () => {
    const folder = temporaryFolder()
    const random = seededRandom(seed)
    let peer = await startPeer({ dataDir: folder.path })
    const outcomes = { replayed: 0, anew: 0, interrupted: 0 }
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const sent = requests(kill)
        const before = peer
        const first = sent.map(async (each) => {
          // Of those that the kill cuts off there is none.
          const { status, text } = await send(before, each).catch(() => ({ status: 0, text: '' }))
          if (status === 200) each.told = text
        })
        await sleep(random.below(KILLED_MS_MAX))
        await peer.kill()
        await Promise.all(first)
        peer = await startPeer({ dataDir: folder.path })
        for (const each of sent) {
          const { status, text } = await send(peer, each)
          const place = `seed ${seed}, ${each.key}: ${text}`
          if (status === 200) {
            expect(text, place).toMatch(/"finish_reason":"(stop|length)"/)
            if (each.told !== undefined) expect(text, place).toBe(each.told)
            outcomes[each.told === undefined ? 'anew' : 'replayed'] += 1
          } else {
            expect([status, text], place).toEqual([
              409,
              expect.stringContaining('idempotency_interrupted'),
            ])
            outcomes.interrupted += 1
          }
        }
      }
      await peer.kill()
      const told = `seed ${seed}: ${JSON.stringify(outcomes)}`
      expect(await settlements(folder.path), told).toBe(KILLS * (PLAIN + STREAMED))
    } finally {
      await peer.kill()
      folder.remove()
    }
  })
})
