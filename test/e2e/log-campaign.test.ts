import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { rounds } from '../campaign.ts'
import { headsOf, ownHeads, within } from './log-view.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// Two archives, two providers and a coordinator work; two of them are killed and come back, one stands
// still for so long that it is gone for the others. Then archives and followers know the same, and
// nothing of an answer that a client has is lost.

const SEEDS = rounds(0, 20)
const WORK_MS = 20_000
/** After 30 s of silence it is gone for the others. */
const STILL_MS = 60_000
const SETTLED_MS = 120_000
const CLIENTS = 4

const kinds = {
  first: ['--no-demo', '--roles', 'archive,coordinator'],
  second: ['--no-demo', '--roles', 'archive'],
  one: ['--roles', 'provider,coordinator'],
  other: ['--roles', 'provider,coordinator'],
  gateway: ['--no-demo', '--roles', 'coordinator'],
}
type Name = keyof typeof kinds
const names = Object.keys(kinds) as Name[]
const asked: readonly Name[] = ['first', 'one', 'other', 'gateway']

/** Five peers on one machine, and what their clients were told. */
class Campaign {
  readonly random: Random
  readonly peers = new Map<Name, PeerProcess>()
  /** CIDs of receipts that came with a whole answer. */
  readonly acknowledged: string[] = []
  readonly #folders = new Map(names.map((name) => [name, temporaryFolder()]))
  readonly #addresses = new Map<Name, string>()

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  peer(name: Name): PeerProcess {
    const peer = this.peers.get(name)
    if (peer === undefined) throw new Error(`${name} does not run`)
    return peer
  }

  /** A first time, or again: with the same disk, at the same address. */
  async start(name: Name): Promise<void> {
    const doors = [...this.#addresses].filter(([other]) => other !== name)
    const known = this.#addresses.get(name)
    const peer = await startPeer({
      args: [
        ...['--network', 'campaign', ...kinds[name]],
        ...doors.slice(0, 3).flatMap(([, address]) => ['--bootstrap', address]),
      ],
      dataDir: this.#folders.get(name)?.path ?? '',
      ...(known === undefined ? {} : { listen: known.replace(/\/p2p\/.*/, '') }),
    })
    this.peers.set(name, peer)
    this.#addresses.set(name, peer.ready.addrs[0] ?? '')
  }

  async close(): Promise<void> {
    await Promise.all([...this.peers.values()].map((peer) => peer.kill()))
    for (const folder of this.#folders.values()) folder.remove()
  }

  draw<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)] as T
  }

  /** One client after the other's answer; what fails is no answer. */
  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const receipt = await this.chat(this.draw(asked)).catch(() => undefined)
      if (receipt !== undefined) this.acknowledged.push(receipt)
      else await sleep(100)
    }
  }

  async chat(name: Name): Promise<string | undefined> {
    const answer = await ask(
      this.peer(name).ready,
      '/v1/chat/completions',
      {
        model: 'pinaivu-demo',
        max_tokens: 1 + this.random.below(12),
        messages: [{ role: 'user', content: `What is peer ${this.random.below(1000)}?` }],
      },
      { signal: AbortSignal.timeout(30_000) },
    )
    const body = (await answer.json()) as { receipt: { cid: string } }
    return answer.status === 200 ? body.receipt.cid : undefined
  }

  async killAndRestart(name: Name): Promise<void> {
    await this.peer(name).kill()
    await sleep(this.random.below(5_000))
    await this.start(name)
  }

  async standStill(name: Name): Promise<void> {
    this.peer(name).child.kill('SIGSTOP')
    await sleep(STILL_MS)
    this.peer(name).child.kill('SIGCONT')
  }
}

/** All heads, in one order. */
const text = (heads: Awaited<ReturnType<typeof headsOf>>): string =>
  JSON.stringify(heads.sort((a, b) => (a.author + a.epoch < b.author + b.epoch ? -1 : 1)))

async function run(campaign: Campaign): Promise<void> {
  await campaign.start('first')
  await Promise.all(names.filter((name) => name !== 'first').map((name) => campaign.start(name)))
  await expect
    .poll(() => campaign.chat('gateway').catch(() => undefined), within(30_000))
    .toBeDefined()

  const over = new AbortController()
  const working = Array.from({ length: CLIENTS }, () => campaign.work(over.signal))
  const victims = [...names]
  const take = () => victims.splice(campaign.random.below(victims.length), 1)[0] as Name
  const [killed, other, still] = [take(), take(), take()]
  await sleep(WORK_MS / 2)
  await Promise.all([
    campaign.killAndRestart(killed),
    campaign.standStill(still),
    sleep(WORK_MS / 2).then(() => campaign.killAndRestart(other)),
  ])
  await sleep(WORK_MS / 2)
  over.abort()
  await Promise.all(working)

  const [first, second, gateway] = [
    campaign.peer('first'),
    campaign.peer('second'),
    campaign.peer('gateway'),
  ]
  const settled = within(SETTLED_MS)
  const isSame = async () => text(await headsOf(first)) === text(await headsOf(second))
  await expect.poll(isSame, settled).toBe(true)
  for (const name of names) {
    const author = campaign.peer(name)
    const viewers = name === 'one' || name === 'other' ? [first, second, gateway] : [first, second]
    for (const viewer of viewers) {
      const isKnown = async () => {
        const [own, seen] = [await ownHeads(author), await headsOf(viewer, author.ready)]
        return text(own) === text(seen)
      }
      await expect.poll(isKnown, settled).toBe(true)
    }
  }
  expect(campaign.acknowledged.length).toBeGreaterThan(20)
  for (const cid of campaign.acknowledged) {
    for (const archive of [first, second]) {
      const answer = await ask(archive.ready, `/v8/receipts/${cid}`)
      const { verified, proof } = await answer.json()
      // What its provider and what its coordinator say of it.
      expect([answer.status, verified, proof?.entries.length]).toEqual([200, true, 2])
    }
  }
  for (const { log } of campaign.peers.values()) expect(log()).not.toContain('is barred')
}

const first = Number(process.env.PINAIVU_SEED ?? Math.floor(Math.random() * 1e6))
const seeds = Array.from({ length: SEEDS }, (_, n) => first + n)

// Minutes of waiting for silence to be noticed: for the long run.
describe.runIf(SEEDS > 0)('five peers that work, die and stand still', () => {
  it.each(seeds)('know the same in the end (seed %i)', { timeout: 600_000 }, async (seed) => {
    const campaign = new Campaign(seed)
    try {
      await run(campaign)
    } finally {
      await campaign.close()
    }
  })
})
