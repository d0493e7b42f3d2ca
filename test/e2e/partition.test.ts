import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rounds } from '../campaign.ts'
import { gateway, type LanPeer, LanPeers } from './lan-peers.ts'
import { canMakeNamespaces } from './namespaces.ts'
import { temporaryFolder } from './peer-process.ts'

// Cables that are pulled, that are bad, machines that stand still or lose their power.

const within = (timeout: number) => ({ timeout, interval: 100 })
const patient = within(40_000)
const model = 'pinaivu-demo'

const sees = async (viewer: LanPeer, other: LanPeer, limit = patient): Promise<void> => {
  await expect.poll(() => viewer.sees(other), limit).toBe(true)
}
const loses = async (viewer: LanPeer, other: LanPeer, limit = patient): Promise<void> => {
  await expect.poll(() => viewer.sees(other), limit).toBe(false)
}
const nodes = async (viewer: LanPeer, count: number, limit = patient): Promise<void> => {
  await expect.poll(() => viewer.nodesWith(model), limit).toBe(count)
}
/** The answer, and who made it; throws what the peer said instead. */
async function answerOf(asking: Promise<Response>) {
  const answer = await asking
  const body = await answer.json()
  if (!answer.ok) throw new Error(`${answer.status} ${JSON.stringify(body)}`)
  expect(body.choices[0].message.content).toContain('one running process in the network')
  return { by: answer.headers.get('x-pinaivu-node-id'), headers: answer.headers }
}

/**
 * As clients do it, which ask again after a 503. Where a tenth is lost, the word that a job is taken
 * comes too late once in some hundred times, and here is nobody else to do it.
 */
async function persistently(asked: LanPeer): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const answer = await asked.chat()
    if (answer.status !== 503 || tries === 3) return answer
  }
}

// A minute of waiting for silence to be noticed: for the long run.
const wanted = rounds(0, 1) > 0 && (await canMakeNamespaces())

describe.runIf(wanted)('peers on several machines', { timeout: 180_000 }, () => {
  let peers: LanPeers
  beforeEach(async () => {
    peers = new LanPeers()
    await peers.lan.open()
  })
  // Also of one that took too long.
  afterEach(() => peers.close())

  it('lose within 30 s one that falls silent, and find it again by themselves', async () => {
    const door = await peers.peer(gateway)
    const [viewer, unplugged, frozen] = await Promise.all([
      peers.peer(gateway, { door }),
      peers.peer([], { door }),
      peers.peer([], { door }),
    ])
    await nodes(viewer, 2)
    for (const other of [viewer, frozen]) await sees(unplugged, other)
    // Nobody is left to join through: what is found again, is found without.
    await peers.kill(door)
    await loses(viewer, door)
    await unplugged.machine.unplug()
    frozen.signal('SIGSTOP')
    try {
      const gone = within(30_000)
      await Promise.all([
        loses(viewer, unplugged, gone),
        loses(viewer, frozen, gone),
        loses(unplugged, viewer, gone),
      ])
      expect((await viewer.chat()).status).toBe(503)
    } finally {
      frozen.signal('SIGCONT')
    }
    await unplugged.machine.plugIn()
    const back = within(60_000)
    await Promise.all([sees(viewer, unplugged, back), sees(viewer, frozen, back)])
    await nodes(viewer, 2, back)
    await answerOf(viewer.chat({ node: { only: [unplugged.id] } }))
    await answerOf(viewer.chat({ node: { only: [frozen.id] } }))
  })

  it('answer without an error when a cable is pulled before the first token', async () => {
    const asked = await peers.peer(gateway)
    const providers = await Promise.all([
      peers.peer([], { door: asked }),
      peers.peer([], { door: asked }),
    ])
    await nodes(asked, 2)
    const count = rounds(1, 6)
    for (let round = 0; round < count; round++) {
      // An answer that is cut off counts as unacknowledged for a minute: who has acknowledged
      // few others before is refused for so long.
      for (let credit = 0; credit < rounds(0, 12); credit++) {
        for (const { id } of providers) await answerOf(asked.chat({ node: { only: [id] } }))
      }
      // Whichever is asked takes the job, and stands still before the first token.
      for (const each of providers) each.signalEngines('SIGSTOP')
      const began = performance.now()
      const answer = answerOf(asked.chat())
      let busy: LanPeer | undefined
      while (busy === undefined) {
        for (const each of providers) if (await each.isBusy()) busy = each
      }
      await busy.machine.unplug()
      for (const each of providers) each.signalEngines('SIGCONT')
      const { by } = await answer
      const other = providers.find((each) => each !== busy)
      expect(by).toBe(other?.id)
      // Three seconds of silence, and what a busy machine adds.
      expect(performance.now() - began).toBeLessThan(10_000)
      expect((await answerOf(asked.chat())).by).toBe(other?.id)
      if (round + 1 === count) break
      await loses(asked, busy, within(30_000))
      await busy.machine.plugIn()
      await nodes(asked, 2, within(60_000))
    }
  })

  it('work over a cable that delays and loses', async () => {
    const asked = await peers.peer(gateway)
    const machine = await peers.lan.machine()
    const seed = Number(process.env.PINAIVU_SEED ?? Math.floor(Math.random() * 1e9))
    console.info(`bad cable: PINAIVU_SEED=${seed}`)
    await machine.worsen({ delayMs: 50, loss: 0.1, seed })
    const provider = await peers.peer([], { door: asked, machine })
    await nodes(asked, 1, within(60_000))
    for (let round = 0; round < rounds(5, 100); round++) {
      expect((await answerOf(persistently(asked))).by).toBe(provider.id)
    }
    expect(await asked.sees(provider)).toBe(true)
  })

  it('that are started again are listed at once, and need nobody who was there before', async () => {
    const door = await peers.peer(gateway)
    const folders = [temporaryFolder(), temporaryFolder()] as const
    const [here, there] = folders.map(({ path }) => path)
    const start = (args: string[], dataDir = '', machine?: LanPeer['machine']) =>
      peers.peer(args, { door, dataDir, ...(machine === undefined ? {} : { machine }) })
    try {
      let [viewer, provider] = await Promise.all([start(gateway, here), start([], there)])
      await nodes(viewer, 1)
      await peers.kill(provider)
      await loses(viewer, provider)
      provider = await start([], there, provider.machine)
      await sees(viewer, provider, within(10_000))
      await nodes(viewer, 1)
      await answerOf(viewer.chat())
      await sees(provider, viewer)
      // Both have written down where the other is.
      await untilKept(here, provider.id)
      await untilKept(there, viewer.id)
      await peers.kill(door, viewer, provider)
      ;[viewer, provider] = await Promise.all([
        start(gateway, here, viewer.machine),
        start([], there, provider.machine),
      ])
      await Promise.all([sees(viewer, provider), sees(provider, viewer), nodes(viewer, 1)])
      expect((await answerOf(viewer.chat())).by).toBe(provider.id)
    } finally {
      for (const folder of folders) folder.remove()
    }
  })
})

/** The database writes names as they are, so that they are found in its files. */
async function untilKept(dataDir = '', peerId: string): Promise<void> {
  const isKept = () =>
    readdirSync(dataDir, { recursive: true, withFileTypes: true }).some(
      (entry) =>
        entry.isFile() &&
        /\.(log|ldb)$/.test(entry.name) &&
        readFileSync(join(entry.parentPath, entry.name)).includes(peerId),
    )
  const signal = AbortSignal.timeout(15_000)
  while (!isKept()) await sleep(100, undefined, { signal })
}
