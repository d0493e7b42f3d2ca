import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Owed } from '../../src/market/owed.ts'
import type { Row } from '../../src/storage/backend.ts'
import type { Guess } from '../../src/wire/drafter.ts'
import type { Job } from '../../src/wire/job.ts'
import { publicKeyOf } from '../../src/wire/peer-id.ts'
import { checkProof } from '../../src/wire/proof.ts'
import type { Receipt } from '../../src/wire/receipt.ts'
import { settled } from '../base/fake-clock.ts'
import { erring, hashing } from '../engines/fake-writer.ts'
import { verify } from '../receipts/feeds/stage.ts'
import { proofStage } from '../receipts/stage.ts'
import { StubBackend } from '../storage/stub-backend.ts'
import { chat, jobOf, NETWORK } from './coordinator-stage.ts'
import { drafted, drafter, type Priced, price, pricedDrafters, said } from './drafting-stage.ts'

const idsHash = (ids: readonly number[]) =>
  new Uint8Array(createHash('sha256').update(Uint32Array.from(ids)).digest())

const priced = pricedDrafters()
type Target = Awaited<ReturnType<Priced['target']>>

/** An answer of 90 tokens, of which `accepted` are the drafter's guesses. */
async function draft(
  { clock }: Pick<Priced, 'clock'>,
  { drafters, peerId }: Target,
  { accepted, ...more }: Partial<Job> & { accepted?: number } = {},
): Promise<void> {
  const work = chat({ maxTokens: 90 })
  const job = jobOf({ drafters: [peerId], watched: true, work, ...more })
  const nobody: Guess = () => {}
  const drafting = drafters.find(job, nobody, () => {})
  await clock.advance(10)
  for (let at = 0; at < 90; at += 9) {
    drafting?.committed(0, at, said(at + 9).slice(at))
    await clock.advance(10)
  }
  drafting?.end(accepted)
  await clock.advance(10)
  await settled()
}

describe('a drafter and its target', () => {
  it('say the same of what is owed, each in its log', async () => {
    const all = await priced({ rule: erring(hashing, (place) => place === 40) })
    const target = await all.target()
    await draft(all, target, { id: 'job_a.3', accepted: 60 })
    const [execution, ...others] = await all.proof.bodies()
    const [routing, ...more] = await target.proof.bodies()
    if (execution?.kind !== 'execution' || routing?.kind !== 'routing') throw new Error('kinds')
    expect([others, more]).toEqual([[], []])
    // It heard of that one with the four behind it.
    const right = said(90).filter((_, place) => place < 40 || place > 44)
    expect(execution.body).toMatchObject({
      receipt: {
        jobId: 'job_a.d3',
        resultHash: idsHash(right.slice(0, 60)),
        meteringUnits: 60,
        nodePk: publicKeyOf(target.peerId),
      },
      coordinator: target.identity.publicKey,
      work: 'draft',
      tokens: { input: 0, cached: 0, output: 60 },
      price: { input: 0, output: 1_500 },
      finish: ['cancelled'],
    })
    expect(routing.body).toMatchObject({
      ...{ jobId: 'job_a.d3', work: 'draft', verdict: 'ok', count: 'bounded', amount: 90 },
      tokens: { input: 0, cached: 0, output: 60 },
      parts: [{ jobId: 'job_a.d3', price: { input: 0, output: 1_500 }, amount: 90, owedTotal: 90 }],
      attempts: [{ node: publicKeyOf(target.peerId), outcome: 'ok' }],
    })
    expect(all.outcomes).toEqual(['drafted'])
    expect(all.faults()).toEqual([])
    await draft(all, target, { accepted: 10 })
    const again = (await target.proof.bodies()).at(-1)
    expect(again).toMatchObject({ body: { parts: [{ amount: 15, owedTotal: 105 }] } })
  })

  it('find its receipt by any name, and hold it to be good', async () => {
    const all = await priced()
    const target = await all.target()
    await draft(all, target, { accepted: 60 })
    const [view] = (await all.proof.receipts.recent({ limit: 1 })).views
    expect(view).toMatchObject({ status: 'final', verified: true, nodeId: target.peerId })
    const theirs = await target.proof.receipts.find(view?.cid ?? '')
    expect(theirs).toMatchObject({ cid: view?.cid, verified: true })
    expect(theirs?.routing?.body.amount).toBe(90)
    expect(theirs?.execution?.cid).toBe(view?.execution?.cid)
    // And to anybody who has nothing but a file.
    const entries = [view?.execution, theirs?.routing].flatMap((of) =>
      of?.proof === undefined ? [] : [{ entry: of.bytes, index: of.index as number, ...of.proof }],
    )
    expect(entries).toHaveLength(2)
    const receipt = view?.receipt as Receipt
    expect(checkProof({ network: NETWORK, receipt, entries }, { verify }).holds).toBe(true)
  })

  it('go by what came true in time where nobody knows what was taken', async () => {
    const all = await priced()
    const target = await all.target()
    await draft(all, target, {})
    expect(await target.proof.bodies()).toMatchObject([{ body: { tokens: { output: 90 } } }])
  })

  it('write nothing where nothing is owed', async () => {
    const all = await priced()
    const target = await all.target()
    await draft(all, target, { accepted: 0 })
    expect(all.outcomes).toEqual(['drafted'])
    expect([await all.proof.bodies(), await target.proof.bodies()]).toEqual([[], []])
  })

  it('have more open at once with each job that is paid', async () => {
    const all = await priced()
    const target = await all.target()
    await draft(all, target, { accepted: 60 })
    await draft(all, target, { accepted: 60 })
    const jobs = [1, 2, 3].map((n) => jobOf({ id: `job_${n}x`, drafters: [target.peerId] }))
    const lost: number[] = []
    for (const [at, job] of jobs.entries()) {
      const find = { ...job, watched: true }
      expect(
        target.drafters.find(
          find,
          () => {},
          () => lost.push(at),
        ),
      ).toBeDefined()
    }
    await settled()
    expect(lost).toEqual([])
    expect(all.provider.status().open).toBe(3)
  })

  it('salt what is to be salted, and show nobody what is to be shown to nobody', async () => {
    const all = await priced()
    const target = await all.target()
    const wishes = { receiptPrivacy: 'salted' } as const
    await draft(all, target, { accepted: 60, wishes, unpublished: true })
    for (const { proof } of [all, target]) {
      expect(await proof.bodies()).toEqual([])
      expect(await proof.bodies('private')).toMatchObject([{ body: { privacy: 'salted' } }])
    }
    const [execution] = await all.proof.bodies('private')
    if (execution?.kind !== 'execution') throw new Error('kinds')
    expect(execution.body.receipt.resultHash).not.toEqual(idsHash(said(60)))
  })

  it('keep it to themselves where the drafter publishes nothing', async () => {
    const all = await priced({ publish: 'none' })
    const target = await all.target()
    await draft(all, target, { accepted: 60 })
    expect(all.outcomes).toEqual(['publishes_none'])
    // It is asked again at once, for that.
    await draft(all, target, { accepted: 60 })
    expect(await target.proof.bodies()).toEqual([])
    expect(await target.proof.bodies('private')).toMatchObject([{ body: { amount: 90 } }])
  })

  it('have it on the disk before the one hears that the other has it', async () => {
    const backend = new StubBackend()
    const all = await priced()
    const target = await all.target({ backend })
    backend.held = true
    await draft(all, target, { accepted: 60 })
    expect(await all.proof.bodies()).toHaveLength(1)
    expect(all.outcomes).toEqual([])
    backend.release()
    await expect.poll(() => all.outcomes).toEqual(['drafted'])
    expect(await target.proof.bodies()).toHaveLength(1)
  })

  it('of which the one can’t write acknowledges nothing', async () => {
    const backend = new StubBackend()
    const all = await priced()
    const target = await all.target({ backend })
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    backend.failNext = { error: full, rowsWritten: false }
    await draft(all, target, { accepted: 60 })
    expect(await target.proof.bodies()).toEqual([])
    expect(await all.proof.bodies()).toHaveLength(1)
  })

  /** Kills a peer as soon as it has written something. */
  class Mortal extends StubBackend {
    afterWrite = () => {}

    override async write(rows: readonly Row[], sync?: boolean): Promise<void> {
      await super.write(rows, sync)
      this.afterWrite()
    }
  }

  it('of which the one that drafts is killed behind its entry owe nothing', async () => {
    const backend = new Mortal()
    // Nobody stops it afterwards: it is gone.
    const all = await drafter({ price, backend })
    const target = await all.target()
    backend.afterWrite = () => all.hub.kill(target.peerId)
    await draft(all, target, { accepted: 60 })
    expect(await all.proof.bodies()).toMatchObject([{ kind: 'execution' }])
    expect(await target.proof.bodies()).toEqual([])
  })

  it('of which the other is killed behind its own owe what that one’s log says', async () => {
    const backend = new Mortal()
    const all = await priced()
    const target = await all.target({ backend })
    const { peerId } = target.identity
    backend.afterWrite = () => all.hub.kill(peerId)
    await draft(all, target, { accepted: 60 })
    const { clock } = all
    const back = await proofStage({ clock, identity: target.identity, network: NETWORK, backend })
    expect(await back.bodies()).toMatchObject([{ body: { parts: [{ owedTotal: 90 }] } }])
    expect(await new Owed(back).add(target.peerId, 0, back.store.batch())).toBe(90)
    expect(all.outcomes).toEqual(['drafted'])
  })

  it('that stops has said before what it owes', async () => {
    const all = await priced()
    const target = await all.target()
    const job = jobOf({ drafters: [target.peerId], watched: true })
    const drafting = target.drafters.find(
      job,
      () => {},
      () => {},
    )
    await all.clock.advance(10)
    drafting?.committed(0, 0, said(20))
    await all.clock.advance(10)
    const stopping = target.drafters.stop()
    await all.clock.advance(10)
    await stopping
    expect(await target.proof.bodies()).toMatchObject([{ body: { amount: 30 } }])
    expect(
      target.drafters.find(
        job,
        () => {},
        () => {},
      ),
    ).toBeUndefined()
  })
})

describe('a target', () => {
  it.each([
    [{ input: 0, output: 1 }, 1, false],
    [{ input: 0, output: 3 }, 1, true],
    [{ input: 0, output: 3 }, 2, false],
    [{ input: 0, output: 0 }, 1, false],
    [{ input: 0, output: 0 }, 0, true],
  ])('that asks %j has one at %d draft: %j', async (own, theirs, isAsked) => {
    const model = { price: { input: 9, output: theirs } }
    const { find } = await drafted(async () => {}, { price: own, model })
    expect(find() !== undefined).toBe(isAsked)
  })
})
