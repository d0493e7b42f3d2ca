import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { Intake } from '../../src/receipts/feeds/intake.ts'
import type { Cid } from '../../src/wire/cid.ts'
import { executionEntry, routingEntry, type SealedEntry } from '../../src/wire/entry.ts'
import { readHead } from '../../src/wire/head.ts'
import { signRouting } from '../../src/wire/routing.ts'
import { FakeClock } from '../base/fake-clock.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  network,
  provider,
  routing,
  signing,
} from '../wire/log-examples.ts'
import { proofStage } from './stage.ts'

const done = executionEntry(1, execution())
const told = routingEntry(1, signRouting(routing([{ execution: done.cid }]), signing))

/** More than are looked at, of whom about half stand before anybody by their keys. */
const liars = Array.from({ length: 40 }, (_, n) => identityFromSeed(filled(100 + n)))
type Liar = (typeof liars)[number]

/** What a liar, as its coordinator, says of an entry. */
function lie(liar: Liar, execution: Cid): SealedEntry {
  const said = {
    ...routing([{ execution }]),
    coordinator: liar.publicKey,
    verdict: 'dispute' as const,
    dispute: 'a_lie',
  }
  const sign = (message: Uint8Array) => liar.sign(message)
  return routingEntry(1, signRouting(said, { network, sign }))
}

/** A third peer, to which logs come. */
async function stage(identity = identityFromSeed(filled(99))) {
  const clock = new FakeClock()
  const peer = await proofStage({ clock, identity, network })
  const { feeds, store, verify } = peer
  const verifyLater = async (...args: Parameters<typeof verify>) => verify(...args)
  const verifying = { network, verify }
  const { publicKey } = identity
  const parts = { feeds, store, clock, logger: silentLogger, verifying, verifyLater }
  const isThere = () => true
  const intake = new Intake({ ...parts, publicKey, isThere, isWanted: isThere })
  const take = async (log: ExampleLog) => {
    for (let at = 0; at < log.entries.length; at += 50) {
      await intake.ingest(await log.batch(at, Math.min(at + 50, log.entries.length)))
    }
  }
  return { ...peer, take }
}

describe('what others put into their logs', () => {
  it('does not stand before what its node and its coordinator say', async () => {
    const { take, receipts } = await stage()
    for (const liar of liars) await take(new ExampleLog(liar).append(done, lie(liar, done.cid)))
    await take(new ExampleLog(provider).append(done))
    await take(new ExampleLog(coordinator).append(told))
    const view = await receipts.find(done.cid.toString())
    expect(view).toMatchObject({ routing: { cid: told.cid.toString(), body: { verdict: 'ok' } } })
    const { head } = view?.execution?.proof ?? {}
    expect(head && readHead(head).author).toEqual(provider.publicKey)
  })

  it('shows nothing of what came with an answer that is nobody’s business', async () => {
    const { take, receipts, held, store, log } = await stage(coordinator)
    const rows = store.batch()
    await held.put(rows, done, provider.peerId)
    await log.append([told], { publish: false, rows })
    const [liar] = liars as [Liar]
    await take(new ExampleLog(liar).append(lie(liar, done.cid)))
    expect(await receipts.find(done.cid.toString())).toBeUndefined()
  })

  it('leads no further than to the work that it names', async () => {
    const { take, receipts } = await stage()
    const [liar] = liars as [Liar]
    await take(new ExampleLog(provider).append(done))
    const chain = [lie(liar, done.cid)]
    for (let n = 0; n < 100; n++) chain.push(lie(liar, (chain.at(-1) as SealedEntry).cid))
    await take(new ExampleLog(liar).append(...chain))
    const [first, second] = chain.map(({ cid }) => cid.toString()) as [string, string]
    expect(await receipts.find(first)).toMatchObject({ execution: { cid: done.cid.toString() } })
    expect(await receipts.find(second)).toBeUndefined()
  })
})
