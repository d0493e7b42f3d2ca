import { describe, expect, it } from 'vitest'
import { ryv1Cid } from '../../../src/wire/cid.ts'
import { executionEntry, routingEntry } from '../../../src/wire/entry.ts'
import { openReceiptOf } from '../../../src/wire/execution.ts'
import { lookupKey } from '../../../src/wire/model-id.ts'
import { openDigest, receiptDigest } from '../../../src/wire/receipt.ts'
import { signRouting } from '../../../src/wire/routing.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  network,
  oneJob,
  provider,
  routing,
  signing,
} from '../../wire/log-examples.ts'
import { note } from '../feeds/stage.ts'
import { identityOf, type LogPeer, LogPeers } from './peers-stage.ts'
import { end, scripted } from './scripted.ts'

const [alice, bob, mallory] = [identityOf(11), identityOf(12), identityOf(15)]
const done = execution()
const entry = executionEntry(1, done)
const cid = ryv1Cid(receiptDigest(done.receipt))

/** What it finds, in whatever time that takes. */
async function found(peers: LogPeers, peer: LogPeer, text = cid) {
  const began = peers.clock.elapsed()
  let view: Awaited<ReturnType<LogPeer['receipts']['find']>>
  let isOver = false
  const finding = peer.receipts.find(text).then((each) => {
    view = each
    isOver = true
  })
  await peers.until(() => isOver, 5_000)
  await finding
  return { view, ms: peers.clock.elapsed() - began }
}

/** What mallory, as a coordinator, says of that work. */
const routed = (work: typeof entry.cid) =>
  routingEntry(
    1,
    signRouting(
      { ...routing([{ execution: work }]), coordinator: mallory.publicKey },
      { network, sign: (message) => mallory.sign(message) },
    ),
  )

/** A provider with the receipt in its log, and somebody who is connected with it. */
async function stage() {
  const peers = new LogPeers()
  const author = await peers.peer(provider)
  await author.log.append([note(1), entry, note(2)], { publish: true })
  const asker = await peers.peer(alice)
  await peers.connect(asker, author)
  return { peers, author, asker }
}

describe('a receipt of another peer', () => {
  it('is found by each of its CIDs, and proves itself', async () => {
    const { peers, asker } = await stage()
    for (const text of [cid, entry.cid.toString(), ryv1Cid(openDigest(openReceiptOf(done)))]) {
      const { view, ms } = await found(peers, asker, text)
      expect(view).toMatchObject({ verified: true, nodeId: provider.peerId })
      expect(view?.execution).toMatchObject({ index: 1, proof: { head: expect.anything() } })
      expect(ms).toBeLessThan(500)
    }
    // It is looked at, not kept.
    expect(await asker.heads()).toEqual([])
  })

  it('that came with an answer is proved by whoever has its log, and shown in any case', async () => {
    const { peers, author } = await stage()
    const asker = await peers.peer(coordinator)
    await peers.connect(asker, author)
    const rows = asker.store.batch()
    await asker.held.put(rows, entry, provider.peerId)
    const told = routingEntry(1, signRouting(routing([{ execution: entry.cid }]), signing))
    await asker.log.append([told], { publish: true, rows })
    const text = entry.cid.toString()
    const { view } = await found(peers, asker, text)
    const shown = { cid: text, index: 1, proof: { head: expect.anything() } }
    expect(view).toMatchObject({ execution: shown, routing: { cid: told.cid.toString() } })
    await author.stop()
    const alone = await found(peers, asker, text)
    expect(alone.view).toMatchObject({ execution: { cid: text }, routing: expect.anything() })
    expect(alone.view?.execution?.proof).toBeUndefined()
    expect(alone.ms).toBeLessThanOrEqual(2_100)
  })

  it('is found in its own log without a question', async () => {
    const { peers, author } = await stage()
    const { ms } = await found(peers, author)
    expect(ms).toBeLessThanOrEqual(50)
  })

  it('is found as an open one while the work is on', async () => {
    const { peers, author, asker } = await stage()
    const open = openReceiptOf(execution('job_2.1'))
    author.live.opened(open, { isPublic: true })
    const { view } = await found(peers, asker, ryv1Cid(openDigest(open)))
    expect(view).toMatchObject({ status: 'open', verified: true })
    const hidden = openReceiptOf(execution('job_3.1'))
    author.live.opened(hidden)
    expect((await found(peers, asker, ryv1Cid(openDigest(hidden)))).view).toBeUndefined()
  })

  it('that nobody may see is not found', async () => {
    const { peers, author, asker } = await stage()
    const secret = execution('job_4.1')
    await author.log.append([executionEntry(1, secret)], { publish: false })
    const { view } = await found(peers, asker, ryv1Cid(receiptDigest(secret.receipt)))
    expect(view).toBeUndefined()
  })

  it('is asked for once by all who want it at the same time', async () => {
    const peers = new LogPeers()
    const gets: string[] = []
    const asker = await peers.peer(alice)
    const counting = scripted(({ type }) => {
      gets.push(type)
      return [end()]
    })
    await peers.connect(await peers.hostile(bob, counting), asker)
    const all = Promise.all([1, 2, 3].map(() => asker.receipts.find(cid)))
    await peers.clock.advance(3_000)
    expect(await all).toEqual([undefined, undefined, undefined])
    expect(gets).toEqual(['get'])
    // That there is none is remembered for ten seconds.
    await found(peers, asker)
    expect(gets).toHaveLength(1)
    await peers.clock.advance(10_000)
    await found(peers, asker)
    expect(gets).toHaveLength(2)
  })

  it('is looked for with few others at once, so that nobody takes it for a flood', async () => {
    const peers = new LogPeers()
    const asker = await peers.peer(alice)
    const gets: string[] = []
    const slow = await peers.hostile(bob, (stream) => {
      gets.push(stream.peerId)
      return aborted(stream.ended)
    })
    await peers.connect(slow, asker)
    const finding = Promise.allSettled(
      Array.from({ length: 40 }, (_, n) =>
        asker.receipts.find(ryv1Cid(receiptDigest(execution(`job_${n}.1`).receipt))),
      ),
    )
    await peers.clock.advance(1_000)
    expect(gets).toHaveLength(3)
    await peers.clock.advance(5_000)
    const refused = (await finding).filter(({ status }) => status === 'rejected')
    expect(refused).toMatchObject(
      refused.map(() => ({ reason: { code: 'overloaded', retryAfterMs: 2_000 } })),
    )
    expect(refused.length).toBeGreaterThan(8)
    expect(refused.length).toBeLessThan(40)
  })

  it('is found through an archive that only the DHT knows', async () => {
    const { peers, author } = await stage()
    const asker = await peers.peer(bob)
    const other = await peers.hostile(
      identityOf(9),
      scripted(() => [end()]),
    )
    await peers.connect(other, asker)
    peers.forget(author)
    peers.hub.dht.providers.set(
      Buffer.from(lookupKey('role', 'archive')).toString('hex'),
      new Map([[author.peerId, author.network.status().addrs]]),
    )
    expect((await found(peers, asker)).view).toMatchObject({ cid })
  })

  it('is found by what its coordinator says of it, who does not have it', async () => {
    const { peers, asker, author } = await stage()
    const told = routed(entry.cid)
    const teller = await peers.peer(mallory)
    await teller.log.append([told], { publish: true })
    await peers.connect(asker, teller)
    const wanted = {
      ...{ cid, verified: true, nodeId: provider.peerId },
      execution: { cid: entry.cid.toString(), index: 1, proof: { head: expect.anything() } },
      routing: { cid: told.cid.toString(), index: 0, proof: { head: expect.anything() } },
    }
    const { view, ms } = await found(peers, asker, told.cid.toString())
    expect(view).toMatchObject(wanted)
    expect(ms).toBeLessThan(500)
    // Whoever says it asks for the rest alone.
    await peers.connect(teller, author)
    expect((await found(peers, teller, told.cid.toString())).view).toMatchObject(wanted)
  })

  it('is not found by way of an entry that leads from one to the next', async () => {
    const { peers, asker } = await stage()
    const second = routed(entry.cid)
    const first = routed(second.cid)
    const teller = await peers.peer(mallory)
    await teller.log.append([second, first], { publish: true })
    await peers.connect(asker, teller)
    expect((await found(peers, asker, first.cid.toString())).view).toBeUndefined()
  })

  it('is not looked for longer than two seconds', async () => {
    const { peers } = await stage()
    const asker = await peers.peer(bob)
    for (const seed of [20, 21, 22]) {
      const mute = await peers.hostile(identityOf(seed), ({ ended }) => aborted(ended))
      await peers.connect(mute, asker)
    }
    peers.hub.freeze(provider.peerId)
    const { view, ms } = await found(peers, asker)
    expect(view).toBeUndefined()
    expect(ms).toBeLessThanOrEqual(2_050)
    // Nor is what leads to it.
    const told = routed(entry.cid)
    const teller = await peers.peer(mallory)
    await teller.log.append([told], { publish: true })
    await peers.connect(asker, teller)
    const last = await found(peers, asker, told.cid.toString())
    expect(last.view).toBeUndefined()
    expect(last.ms).toBeLessThanOrEqual(2_050)
  })

  it('is taken from whoever tells the truth', async () => {
    const { peers, asker } = await stage()
    const { providerLog } = oneJob()
    const forged = new ExampleLog(provider).append(note(7), executionEntry(1, execution('job_9.1')))
    const lies = [
      scripted(async () => [{ type: 'found', ...(await forged.found(1)) }, end()]),
      scripted(async () => [{ type: 'found', ...(await providerLog.found(2)), index: 1 }, end()]),
      scripted(() => [{ type: 'open', receipt: openReceiptOf(execution('job_7.1')) }, end()]),
      scripted(() => [{ type: 'places', places: [] }, end()]),
    ]
    const liars = lies.map((_, n) => identityOf(30 + n))
    for (const [at, lie] of lies.entries()) {
      await peers.connect(await peers.hostile(liars[at] ?? mallory, lie), asker)
    }
    expect((await found(peers, asker)).view).toMatchObject({ cid, verified: true })
    const unknown = ryv1Cid(receiptDigest(execution('job_8.1').receipt))
    await found(peers, asker, unknown)
    const faults = liars.map((liar) => peers.faultsOf(liar))
    expect(faults.every((each) => each.length > 0)).toBe(true)
    expect(peers.faultsOf(provider)).toEqual([])
  })

  it('is told by who signed it, not by who was faster', async () => {
    const { peers, asker } = await stage()
    const forged = executionEntry(1, {
      ...done,
      modelName: 'another',
      receipt: { ...done.receipt, signature: filled(1, 64) },
    })
    const sign = (message: Uint8Array) => mallory.sign(message)
    const said = { ...routing([{ receipt: done.receipt }]), coordinator: mallory.publicKey }
    const told = routingEntry(1, signRouting(said, { network, sign }))
    const log = new ExampleLog(mallory).append(forged, told)
    for (const [at, index] of [0, 1].entries()) {
      const found = { type: 'found' as const, ...(await log.found(index)) }
      const liar = await peers.hostile(
        identityOf(40 + at),
        scripted(() => [found, end()]),
      )
      await peers.connect(liar, asker)
    }
    const { view } = await found(peers, asker)
    expect(view).toMatchObject({ verified: true, execution: { cid: entry.cid.toString() } })
    // Where nobody else has it, the better of what there is.
    peers.hub.freeze(provider.peerId)
    await peers.clock.advance(10_000)
    const alone = await found(peers, asker)
    expect(alone.view).toMatchObject({ verified: true, routing: { cid: told.cid.toString() } })
  })

  it('is not waited for by a client that has left', async () => {
    const { peers } = await stage()
    const asker = await peers.peer(bob)
    const mute = await peers.hostile(mallory, ({ ended }) => aborted(ended))
    peers.hub.freeze(provider.peerId)
    await peers.connect(mute, asker)
    const left = new AbortController()
    const finding = asker.receipts.find(cid, { signal: left.signal })
    await peers.clock.advance(100)
    left.abort(new Error('left'))
    await expect(finding).rejects.toThrow('left')
  })
})

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
