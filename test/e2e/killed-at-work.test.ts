import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { type Random, seededRandom, systemRandom } from '../../src/base/random.ts'
import { loadIdentity } from '../../src/identity/key-file.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { openLevel } from '../../src/storage/level-backend.ts'
import { decodeEntry, executionEntry } from '../../src/wire/entry.ts'
import type { Execution } from '../../src/wire/execution.ts'
import { openHead } from '../../src/wire/head.ts'
import { leafHash, Peaks } from '../../src/wire/merkle.ts'
import type { Routing } from '../../src/wire/routing.ts'
import { tillStage } from '../accounts/till-stage.ts'
import { rounds } from '../campaign.ts'
import { gather } from '../receipts/feeds/stage.ts'
import { proofStage } from '../receipts/stage.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// A provider and a coordinator do the work of some clients; one or the other is killed at any moment, in
// the end both. What is on their disks then is whole, tells the same, and has all that a client was told.
// The provider works for money: what was paid for is what was done, and once.

const NETWORK = 'killed'
const KILLS = rounds(2, 120)
const CLIENTS = 6
const WORK_MS_MAX = 400
/** By then the provider does more than one job at a time for them. */
const ANSWERS_MIN = 8
/** Longer than a provider holds against a coordinator what a crash has cut off. */
const ANSWERED_MS = 90_000

const kinds = {
  provider: ['--roles', 'provider', '--price', '1000/2000'],
  coordinator: ['--no-demo', '--roles', 'coordinator'],
}
type Name = keyof typeof kinds
const names = Object.keys(kinds) as Name[]

const unpaid = {
  generate: () => {
    throw new Error('nobody asks for anything')
  },
}

class Pair {
  readonly random: Random
  readonly peers = new Map<Name, PeerProcess>()
  /** CIDs of receipts that came with a whole answer. */
  readonly acknowledged: string[] = []
  readonly folders = { provider: temporaryFolder(), coordinator: temporaryFolder() }
  readonly #addresses = new Map<Name, string>()

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  /** A first time, or again: with the same disk, at the same address. */
  async start(name: Name): Promise<void> {
    const doors = [...this.#addresses].filter(([other]) => other !== name)
    const known = this.#addresses.get(name)
    const peer = await startPeer({
      args: [
        ...['--network', NETWORK, ...kinds[name]],
        ...doors.flatMap(([, address]) => ['--bootstrap', address]),
      ],
      dataDir: this.folders[name].path,
      ...(known === undefined ? {} : { listen: known.replace(/\/p2p\/.*/, '') }),
    })
    this.peers.set(name, peer)
    this.#addresses.set(name, peer.ready.addrs[0] ?? '')
  }

  async close(): Promise<void> {
    await Promise.all([...this.peers.values()].map((peer) => peer.kill()))
    for (const folder of Object.values(this.folders)) folder.remove()
  }

  /** One client's answers, one after the other; what fails is no answer. */
  async work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const receipt = await this.#chat().catch(() => undefined)
      if (receipt !== undefined) this.acknowledged.push(receipt)
      else await sleep(20)
    }
  }

  async #chat(): Promise<string | undefined> {
    const { ready } = this.peers.get('coordinator') as PeerProcess
    const stream = this.random.below(2) === 0
    const answer = await ask(
      ready,
      '/v1/chat/completions',
      {
        ...{ model: 'pinaivu-demo', max_tokens: 1 + this.random.below(40), stream },
        messages: [{ role: 'user', content: `What is peer ${this.random.below(1000)}?` }],
      },
      { signal: AbortSignal.timeout(10_000) },
    )
    const text = await answer.text()
    if (answer.status !== 200 || (stream && !text.includes('[DONE]'))) return undefined
    return text.match(/"receipt":\{"cid":"(ryv1:sha256:[0-9a-f]{64})"/)?.[1]
  }

  async untilAnswered(count: number): Promise<void> {
    const enough = this.acknowledged.length + count
    await expect
      .poll(() => this.acknowledged.length, { timeout: ANSWERED_MS })
      .toBeGreaterThan(enough)
  }

  /** What is on the disk of one that does not run, all of which is proved. */
  async onDisk(name: Name) {
    const { path } = this.folders[name]
    const identity = await loadIdentity(path, { random: systemRandom })
    const backend = await openLevel(path)
    const clock = systemClock
    const proof = await proofStage({ clock, identity, network: NETWORK, backend })
    const { feeds, store, receipts } = proof
    const till = await tillStage({ clock, identity, proof, coordinator: unpaid })
    try {
      const own = await gather(feeds.tables.own.range())
      const epoch = own.find(([key]) => key.name === 'public')?.[1].epoch ?? new Uint8Array(8)
      const feed = { author: identity.publicKey, epoch }
      const row = await feeds.tables.feeds.get(feed)
      const entries = await gather(feeds.entries(feed, 0, Number.MAX_SAFE_INTEGER))
      if (row?.head !== undefined) {
        const head = openHead(row.head, { network: NETWORK, verify: createVerifyNative() })
        const tree = new Peaks()
        for (const { bytes } of entries) tree.append(leafHash(decodeEntry(bytes).cid.bytes))
        expect([head.size, row.size]).toEqual([entries.length, entries.length])
        expect(Buffer.compare(tree.root(), head.root)).toBe(0)
      } else expect(entries).toEqual([])
      const bodies = await proof.bodies()
      const found = async (cid: string) => {
        const view = await receipts.find(cid)
        return view?.verified === true && view.status === 'final'
      }
      const lost: string[] = []
      for (const cid of this.acknowledged) if (!(await found(cid))) lost.push(cid)
      const { charges } = await till.audited()
      return { bodies, lost, charges: charges.matched, used: await till.used('owner') }
    } finally {
      await store.close()
    }
  }
}

/** Nothing is said to be right that its provider does not say too. */
function compare(executions: readonly Execution[], routings: readonly Routing[]): void {
  const done = new Map(
    executions.map((body) => [executionEntry(body.times.finished, body).cid.toString(), body]),
  )
  for (const { verdict, parts, jobId } of routings) {
    if (verdict !== 'ok') continue
    const [{ execution, tokens } = {}] = parts
    const theirs = done.get(execution?.toString() ?? '')
    expect(theirs?.receipt.jobId.startsWith(`${jobId}.`)).toBe(true)
    expect(theirs?.tokens).toEqual(tokens)
  }
  const jobs = (bodies: readonly { jobId: string }[]) => bodies.map(({ jobId }) => jobId)
  expect(new Set(jobs(routings)).size).toBe(routings.length)
  expect(new Set(jobs(executions.map(({ receipt }) => receipt))).size).toBe(executions.length)
}

/** Each is paid for, and counted, once. */
function comparePaid(
  { charges, used }: Awaited<ReturnType<Pair['onDisk']>>,
  routings: readonly Routing[],
): void {
  const sum = (count: (routing: Routing) => number) =>
    routings.reduce((all, routing) => all + count(routing), 0)
  expect(charges).toBe(routings.filter(({ amount }) => amount > 0).length)
  expect(charges).toBeGreaterThan(0)
  expect(used).toMatchObject({
    cost: sum(({ amount }) => amount),
    inputTokens: sum(({ tokens }) => tokens.input),
    outputTokens: sum(({ tokens }) => tokens.output),
  })
}

async function run(pair: Pair): Promise<void> {
  for (const name of names) await pair.start(name)
  const over = new AbortController()
  const working = Array.from({ length: CLIENTS }, () => pair.work(over.signal))
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await pair.untilAnswered(ANSWERS_MIN)
      await sleep(pair.random.below(WORK_MS_MAX))
      const name = names[kill % 2] as Name
      await pair.peers.get(name)?.kill()
      // Of one alone it is known that it has all of what came before.
      expect((await pair.onDisk(name)).lost).toEqual([])
      await pair.start(name)
    }
    await sleep(pair.random.below(WORK_MS_MAX))
  } finally {
    over.abort()
    await Promise.all([...pair.peers.values()].map((peer) => peer.kill()))
    await Promise.all(working)
  }
  const [provider, coordinator] = [await pair.onDisk('provider'), await pair.onDisk('coordinator')]
  expect([provider.lost, coordinator.lost]).toEqual([[], []])
  const routings = coordinator.bodies.flatMap((each) =>
    each.kind === 'routing' ? [each.body] : [],
  )
  compare(
    provider.bodies.flatMap((each) => (each.kind === 'execution' ? [each.body] : [])),
    routings,
  )
  comparePaid(coordinator, routings)
}

const seed = Number(process.env.PINAIVU_SEED ?? systemRandom.below(2 ** 31))

describe('peers that are killed at work', () => {
  it(`lose nothing that a client was told (seed ${seed})`, { timeout: 900_000 }, async () => {
    const pair = new Pair(seed)
    try {
      await run(pair)
    } finally {
      await pair.close()
    }
  })
})
