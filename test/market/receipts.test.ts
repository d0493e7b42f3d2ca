import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import { ReceiptLookup } from '../../src/receipts/lookup.ts'
import { requestHash } from '../../src/receipts/requests.ts'
import type { ReceiptView } from '../../src/receipts/view.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { ryv1Cid } from '../../src/wire/cid.ts'
import { segmentReceiptsOf } from '../../src/wire/execution.ts'
import { type Receipt, receiptDigest } from '../../src/wire/receipt.ts'
import { ANSWER_TEXT, endless, type Script } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { verify } from '../receipts/feeds/stage.ts'
import { bothEnds } from './both-ends-stage.ts'
import { chat, jobOf, NETWORK, stage } from './coordinator-stage.ts'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())

/** What the log says of one job: as if it were read by a stranger. */
async function entriesOf({ bodies }: { bodies: () => Promise<{ kind: string; body: unknown }[]> }) {
  const all = await bodies()
  return all.map(({ kind }) => kind)
}

describe('an answer of this machine', () => {
  it('is in the log, done and judged, before its end goes up', async () => {
    const { coordinator, proof, identity } = await stage()
    const job = jobOf({
      model: 'test-chat',
      origin: { requestId: 'req_1', account: 'acct_1', endpoint: '/v1/x' },
    })
    for await (const chunk of coordinator.generate(job, new AbortController())) {
      if (chunk.type !== 'done') expect(await entriesOf(proof)).toEqual([])
      else expect(await entriesOf(proof)).toEqual(['execution', 'routing'])
    }
    const [execution, routing] = await proof.bodies()
    if (execution?.kind !== 'execution' || routing?.kind !== 'routing') throw new Error('kinds')
    expect(execution.body.receipt).toMatchObject({
      jobId: `${job.id}.1`,
      resultHash: sha256(ANSWER_TEXT),
      meteringUnits: 13,
    })
    expect(routing.body).toMatchObject({
      request: sha256('req_1'),
      jobId: job.id,
      endpoint: '/v1/x',
      verdict: 'ok',
      count: 'verified',
      coordinator: identity.publicKey,
      parts: [{ node: identity.publicKey, amount: 0 }],
      attestation: 'none',
    })
  })

  it('is found by every name that it has', async () => {
    const { collect, proof, identity } = await stage()
    const { done, routed } = await collect({ model: 'test-chat' })
    const { receipts } = proof
    const final = await receipts.find(done.receipt?.cid ?? '')
    expect(final).toMatchObject({ status: 'final', verified: true, nodeId: identity.peerId })
    expect(done.receipt).toMatchObject({ status: 'final', nodeId: identity.peerId })
    expect(done.receipt?.promptNonce).toMatch(/^[0-9a-f]{64}$/)
    for (const name of [
      done.receipt?.multiformatsCid,
      final?.execution?.cid,
      final?.routing?.cid,
    ]) {
      expect((await receipts.find(name ?? ''))?.cid).toBe(done.receipt?.cid)
    }
    const open = await receipts.find(routed.openCid ?? '')
    expect(open).toMatchObject({ status: 'open', verified: true, finalCid: done.receipt?.cid })
    expect(final?.execution?.proof).toBeDefined()
    expect(await receipts.find(ryv1Cid(new Uint8Array(32)))).toBeUndefined()
    await expect(receipts.find('nonsense')).rejects.toMatchObject({ code: 'invalid_cid' })
  })

  it('names a model by its name until its file was read through', async () => {
    const { collect, proof, engine, identity } = await stage()
    for (const status of engine.status()) delete status.id
    await collect({ model: 'test-chat' })
    const model = `declared:test-chat@${identity.peerId}`
    expect(await proof.bodies()).toMatchObject([{ body: { model } }, { body: { model } }])
  })

  it('shows its open receipt while it is written', async () => {
    const { coordinator, proof, engine } = await stage()
    engine.script = endless
    const leaving = new AbortController()
    const seen: (ReceiptView | undefined)[] = []
    const segments: (ReceiptView | undefined)[] = []
    let last: Chunk | undefined
    const job = jobOf({ model: 'test-chat', work: chat({ maxTokens: 500 }) })
    for await (const chunk of coordinator.generate(job, leaving)) {
      last = chunk
      if (chunk.type === 'routed') seen.push(await proof.receipts.find(chunk.openCid ?? ''))
      if (chunk.type !== 'segment') continue
      segments.push(await proof.receipts.find(ryv1Cid(receiptDigest(chunk.receipt))))
      leaving.abort()
    }
    expect(seen).toMatchObject([{ status: 'open', verified: true }])
    expect(seen[0]?.finalCid).toBeUndefined()
    expect(segments).toMatchObject([{ status: 'segment', verified: true }])
    if (last?.type !== 'done') throw new Error('no done')
    expect(last.receipt?.status).toBe('partial')
    const [execution] = await proof.bodies()
    if (execution?.kind !== 'execution') throw new Error('no execution')
    expect(execution.body.tokens.output).toBe(last.usage.outputTokens)
    expect(execution.body.finish).toEqual(['cancelled'])
  })

  const breaks: Script = async function* (job, signal) {
    for await (const chunk of endless(job, signal)) {
      yield chunk
      if (chunk.type === 'tokens' && chunk.index === 39) {
        throw new PeerError('engine_failed', 'It broke.')
      }
    }
  }

  it.each([
    ['whose reader left without a word', endless],
    ['that breaks off', breaks],
  ])('%s is in the log as far as it was handed over', async (_how, script) => {
    const { coordinator, proof, engine } = await stage()
    engine.script = script
    const origin = { requestId: 'req_1', account: 'acct_1', endpoint: '/v1/x' }
    const job = jobOf({ model: 'test-chat', work: chat({ maxTokens: 500 }), origin })
    let text = ''
    let count = 0
    const reading = (async () => {
      for await (const chunk of coordinator.generate(job, new AbortController())) {
        if (chunk.type === 'tokens') text += chunk.text
        if (chunk.type === 'tokens' && ++count === 40 && script === endless) return
      }
    })()
    await reading.catch((error) => expect(error.code).toBe('engine_failed'))
    expect(engine.running).toBe(0)
    const [execution, routing, ...more] = await proof.bodies()
    if (execution?.kind !== 'execution' || routing?.kind !== 'routing') throw new Error('kinds')
    expect(more).toEqual([])
    expect(execution.body).toMatchObject({
      receipt: { resultHash: sha256(text), meteringUnits: 41 },
      ...{ finish: ['cancelled'], tokens: { output: 40 } },
    })
    expect(execution.body.segments).toHaveLength(1)
    expect(routing.body).toMatchObject({ verdict: 'ok', tokens: { output: 40 } })
    expect(await proof.requests.find(requestHash('req_1'))).toBeDefined()
    await coordinator.stop()
  })

  it('does not end before it is on the disk', async () => {
    const { coordinator, proof } = await stage()
    await proof.log.stop()
    const types: string[] = []
    const reading = (async () => {
      const job = jobOf({ model: 'test-chat' })
      for await (const { type } of coordinator.generate(job, new AbortController()))
        types.push(type)
    })()
    await expect(reading).rejects.toThrow()
    expect(types).not.toContain('done')
    expect(types).toContain('tokens')
  })
})

describe('an answer of another peer', () => {
  it('is in both logs, and says the same there', async () => {
    const price = { input: 1000, output: 2000 }
    const { collect, proof, theirProof, peerId, identity, faults } = await bothEnds({ price })
    const { done, routed } = await collect({ model: 'theirs' })
    await settled()
    expect(done.receipt).toMatchObject({ status: 'final', nodeId: peerId })
    const [execution] = await theirProof.bodies()
    const [routing] = await proof.bodies()
    if (execution?.kind !== 'execution' || routing?.kind !== 'routing') throw new Error('kinds')
    expect(execution.body.receipt.resultHash).toEqual(sha256(ANSWER_TEXT))
    expect(execution.body.coordinator).toEqual(identity.publicKey)
    // 5 tokens in and 8 out, at 1 and 2 micro-credits each.
    expect(routing.body).toMatchObject({
      verdict: 'ok',
      count: 'bounded',
      amount: 21,
      parts: [{ jobId: execution.body.receipt.jobId, amount: 21, owedTotal: 21, region: 'DE' }],
      region: 'DE',
      promptRoot: execution.body.open.promptRoot,
    })
    const mine = await proof.receipts.find(done.receipt?.cid ?? '')
    const theirs = await theirProof.receipts.find(done.receipt?.cid ?? '')
    expect(mine).toMatchObject({ status: 'final', verified: true, nodeId: peerId })
    expect(mine?.routing?.body.verdict).toBe('ok')
    expect(theirs?.execution?.cid).toBe(mine?.execution?.cid)
    for (const { receipts } of [proof, theirProof]) {
      const open = await receipts.find(routed.openCid ?? '')
      expect(open).toMatchObject({ status: 'open', finalCid: done.receipt?.cid })
    }
    await collect({ model: 'theirs' })
    const again = (await proof.bodies()).at(-1)
    expect(again).toMatchObject({ body: { parts: [{ amount: 21, owedTotal: 42 }] } })
    expect(faults()).toEqual([])
  })

  it('of which only a part was wanted has a receipt over that part', async () => {
    const { coordinator, theirEngine, clock, proof, theirProof, faults } = await bothEnds()
    theirEngine.script = endless
    const leaving = new AbortController()
    let text = ''
    let last: Chunk | undefined
    const work = chat({ maxTokens: 500 })
    const reading = (async () => {
      for await (const chunk of coordinator.generate(jobOf({ model: 'theirs', work }), leaving)) {
        last = chunk
        if (chunk.type === 'tokens') text += chunk.text
        if (text.length > 400) leaving.abort()
      }
    })()
    while (last?.type !== 'done') await clock.advance(10)
    await reading
    await settled()
    const [execution] = await theirProof.bodies()
    const [routing] = await proof.bodies()
    if (execution?.kind !== 'execution' || routing?.kind !== 'routing') throw new Error('kinds')
    expect(execution.body.receipt.resultHash).toEqual(sha256(text))
    expect(execution.body.segments.length).toBeGreaterThan(0)
    expect(routing.body.verdict).toBe('ok')
    expect(last.receipt?.status).toBe('partial')
    expect(faults()).toEqual([])
    // Each side finds its segments after a restart as well.
    const [segment] = segmentReceiptsOf(execution.body)
    const cid = ryv1Cid(receiptDigest(segment as Receipt))
    const finalCid = last.receipt?.cid
    for (const { feeds, held, requests } of [proof, theirProof]) {
      const live = new LiveReceipts({ clock })
      const receipts = new ReceiptLookup(
        { feeds, held, requests, verify, live },
        { network: NETWORK },
      )
      expect(await receipts.find(cid)).toMatchObject({ status: 'segment', cid, finalCid })
    }
  })

  it('is listed once by each side, the newest first', async () => {
    const { collect, proof, theirProof } = await bothEnds()
    const heard: string[] = []
    proof.receipts.onReceipt(({ cid }) => heard.push(cid))
    const first = (await collect({ model: 'theirs' })).done.receipt?.cid
    const second = (await collect({ model: 'test-chat' })).done.receipt?.cid
    const third = (await collect({ model: 'theirs' })).done.receipt?.cid
    await settled()
    const cids = async (page: { limit: number; after?: string }) =>
      (await proof.receipts.recent(page)).views.map(({ cid }) => cid)
    const all = await cids({ limit: 10 })
    expect([...all].sort()).toEqual([first, second, third].sort())
    expect(await cids({ limit: 2 })).toEqual(all.slice(0, 2))
    expect(await cids({ limit: 2, after: all[0] as string })).toEqual(all.slice(1))
    expect(heard.sort()).toEqual([first, second, third].sort())
    expect((await theirProof.receipts.recent({ limit: 10 })).views).toHaveLength(2)
  })
})
