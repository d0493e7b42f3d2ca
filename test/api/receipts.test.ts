import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { checkProof, readProof } from '../../src/wire/proof.ts'
import { signedBytes } from '../../src/wire/signed.ts'
import { coordinator, execution, filled, network, provider } from '../wire/log-examples.ts'
import { asOwner, errorOf } from './harness.ts'
import { startReceipts, verify } from './receipt-server.ts'
import { entryCids, finalView, openView, segmentView } from './receipt-views.ts'

describe('GET /v8/receipts/{cid}', () => {
  it('is all that is known of it, for anybody', async () => {
    const view = await finalView()
    const { url } = await startReceipts([view])
    const answer = await fetch(`${url}/v8/receipts/${view.cid}`, {
      headers: { origin: 'https://example.org' },
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    const { proof, ...told } = (await answer.json()) as Record<string, unknown>
    const { receipt } = execution()
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
    expect(told).toEqual({
      object: 'receipt',
      version: 'RYV1',
      cid: view.cid,
      multiformats_cid: view.multiformatsCid,
      entry_cid: entryCids.execution,
      status: 'final',
      node: provider.peerId,
      node_pk: hex(provider.publicKey),
      model: 'llama-3.2-3b',
      content_id: execution().model,
      job_id: 'job_1.1',
      result_hash: hex(receipt.resultHash),
      metering_units: 326,
      signed_payload: view.payload,
      signature: Buffer.from(receipt.signature).toString('base64'),
      alg: 'Ed25519/SHA-256',
      verified: true,
      resumed: false,
      tokens: { input: 14, cached: 0, output: 312 },
      created_at: '2026-09-21T14:13:29.000Z',
      endpoint: '/v1/chat/completions',
      jurisdiction: { requested: 'EU', resolved: 'DE' },
      coordinator: coordinator.peerId,
      verdict: 'ok',
      dispute: null,
      count: 'verified',
      segments: [{ cid: (await segmentView()).cid, segment_end: 31 }],
      final_cid: null,
      speculative: null,
      fuzzy_trace: null,
      retrieved_chunks: [],
      privacy: 'plain',
    })
    const digest = createHash('sha256').update(view.payload).digest('hex')
    expect(told.cid).toBe(`ryv1:sha256:${digest}`)
    expect(checkProof(readProof(JSON.stringify(proof)), { verify })).toMatchObject({
      holds: true,
      cid: view.cid,
    })
  })

  it('goes by every spelling', async () => {
    const view = await finalView()
    const { get } = await startReceipts([view])
    const escaped = encodeURIComponent(view.cid)
    for (const cid of [view.multiformatsCid, escaped, ...Object.values(entryCids)]) {
      expect(await get(`/v8/receipts/${cid}`)).toMatchObject({ cid: view.cid, verified: true })
    }
  })

  it('is open while the work goes on, and then leads to the final one', async () => {
    const open = await openView({ isOver: false })
    const final = await finalView()
    const { get } = await startReceipts([open])
    const before = await get(`/v8/receipts/${open.cid}`)
    expect(before).toMatchObject({
      status: 'open',
      verified: true,
      prompt_root: '07'.repeat(32),
      input_tokens: 14,
      result_hash: null,
      metering_units: null,
      tokens: null,
      final_cid: null,
      model: null,
      proof: null,
    })
    const over = await (await startReceipts([await openView({ isOver: true })])).get(
      `/v8/receipts/${open.cid}`,
    )
    expect(over).toMatchObject({
      ...{ status: 'open', cid: open.cid, final_cid: final.cid, model: 'llama-3.2-3b' },
      ...{ signed_payload: before.signed_payload, signature: before.signature },
    })
  })

  it('is a segment, with the final one and a proof of its own', async () => {
    const view = await segmentView()
    const { get } = await startReceipts([view])
    const told = await get(`/v8/receipts/${view.cid}`)
    expect(told).toMatchObject({ status: 'segment', verified: true, tokens: null })
    expect(told.final_cid).toBe((await finalView()).cid)
    expect(checkProof(readProof(JSON.stringify(told.proof)), { verify }).holds).toBe(true)
  })

  it('says what does not hold, from the bytes themselves', async () => {
    const view = await finalView()
    const { receipt, routing } = view
    if (receipt === undefined || routing?.proof === undefined) throw new Error('has both')
    const forged = { ...receipt, meteringUnits: 9999 }
    const { get } = await startReceipts([{ ...view, receipt: forged }])
    expect(await get(`/v8/receipts/${view.cid}`)).toMatchObject({ verified: false })
    const elsewhere = { ...routing, proof: { ...routing.proof, path: [filled(1)] } }
    const moved = await startReceipts([{ ...view, routing: elsewhere }])
    expect(await moved.get(`/v8/receipts/${view.cid}`)).toMatchObject({ verified: false })
  })

  it('holds where it is not known yet in which place of its log the work stands', async () => {
    const view = await finalView()
    if (view.execution === undefined) throw new Error('has one')
    const { proof: _, index: __, ...execution } = view.execution
    const { get } = await startReceipts([{ ...view, execution }])
    const told = await get(`/v8/receipts/${view.cid}`)
    // What was said of the work names an entry that is not in the proof, and proves nothing there.
    expect(told).toMatchObject({ verified: true, verdict: 'ok', proof: { entries: [] } })
    expect(checkProof(readProof(JSON.stringify(told.proof)), { verify }).holds).toBe(true)
  })

  it('names each part where several worked on it', async () => {
    const view = await finalView()
    if (view.routing === undefined) throw new Error('has one')
    const [part] = view.routing.body.parts
    if (part === undefined) throw new Error('has one')
    const { execution: _, ...lost } = part
    const segment = (await segmentView()).receipt
    const parts = [
      { ...lost, ...(segment && { receipt: segment }) },
      { ...part, jobId: 'job_1.2' },
    ]
    const { get } = await startReceipts([
      { ...view, routing: { ...view.routing, body: { ...view.routing.body, parts } } },
    ])
    const tokens = { input: 14, cached: 0, output: 312 }
    expect((await get(`/v8/receipts/${view.cid}`)).parts).toEqual([
      { cid: (await segmentView()).cid, node: provider.peerId, tokens, status: 'segment' },
      { cid: entryCids.execution, node: provider.peerId, tokens, status: 'final' },
    ])
  })

  it.each(['hello', `ryv1:sha256:${'A'.repeat(64)}`, 'bafkqaaa', `%00`])(
    'refuses %s, which is no CID, before it asks anybody',
    async (cid) => {
      const { url, asked } = await startReceipts()
      const answer = await fetch(`${url}/v8/receipts/${cid}`)
      expect(answer.status).toBe(400)
      const { error } = await errorOf(answer)
      expect(error).toMatchObject({ code: 'invalid_cid', param: 'cid' })
      expect(asked).toEqual([])
    },
  )

  it('says that nobody has it', async () => {
    const { url } = await startReceipts()
    const answer = await fetch(`${url}/v8/receipts/${entryCids.routing}`)
    expect(answer.status).toBe(404)
    expect((await errorOf(answer)).error).toMatchObject({
      code: 'receipt_not_found',
      type: 'not_found_error',
    })
  })
})

describe('GET /v1/receipts/{request_id}', () => {
  const requestId = 'req_01jd0000000000000000000000'
  const path = `/v1/receipts/${requestId}`

  it('is what the coordinator signed, for the account that asked', async () => {
    const view = await finalView()
    const { get } = await startReceipts([], { [`owner ${requestId}`]: view })
    const told = await get(path, asOwner)
    const part = execution().tokens
    expect(told).toMatchObject({
      object: 'routing_receipt',
      version: 'PNV1',
      request_id: requestId,
      node_id: provider.peerId,
      model: 'llama-3.2-3b',
      timestamp: '2026-09-21T14:13:29.000Z',
      dispatched_at: '2026-09-21T14:13:20.004Z',
      completed_at: '2026-09-21T14:13:29.000Z',
      payment_amount: 39,
      payment: {
        amount: '39',
        unit: 'microcredit',
        payouts: [{ node_id: provider.peerId, amount: '39', owed_total: '1000' }],
      },
      usage: { input_tokens: 14, output_tokens: 312 },
      prompt_root: '07'.repeat(32),
      output_hash: Buffer.from(execution().receipt.resultHash).toString('hex'),
      verdict: 'ok',
      count: 'verified',
      parts: [{ cid: entryCids.execution, node: provider.peerId, tokens: part, status: 'final' }],
      attempts: [{ node_id: provider.peerId, outcome: 'ok', ms: 9000 }],
      attestation: { type: 'none', document: null, pcrs: null },
      ryv1_cid: view.cid,
      entry_cid: entryCids.routing,
      verified: true,
    })
    for (const absent of ['input_hash', 'bids', 'bid_set_hash'])
      expect(told).not.toHaveProperty(absent)
    const signature = told.coordinator_signature as string
    expect(signature).toMatch(/^[0-9a-f]{128}$/)
    const payload = Buffer.from(told.signed_payload_b64 as string, 'base64')
    expect(payload.subarray(0, 21).toString()).toBe('PNV1|routing|vectors|')
    expect(payload).toEqual(Buffer.from(signedBytes('routing', network, payload.subarray(21))))
    const key = Buffer.from(told.coordinator_public_key as string, 'hex')
    expect(verify(key, payload, Buffer.from(signature, 'hex'))).toBe(true)
  })

  it('is nothing that another account can see, or tell from nothing', async () => {
    const { url } = await startReceipts([], { [`alice ${requestId}`]: await finalView() })
    const errors = [path, '/v1/receipts/req_01jd0000000000000000000001'].map(async (each) => {
      const answer = await fetch(`${url}${each}`, { headers: asOwner })
      expect(answer.status).toBe(404)
      return (await errorOf(answer)).error
    })
    const [foreign, none] = await Promise.all(errors)
    expect(foreign).toEqual(none)
    expect(foreign?.code).toBe('receipt_not_found')
  })

  it('needs a key that may read receipts', async () => {
    const { url } = await startReceipts()
    expect((await fetch(`${url}${path}`)).status).toBe(401)
    const reader = { authorization: 'Bearer sk-reader' }
    expect((await fetch(`${url}${path}`, { headers: reader })).status).toBe(403)
  })

  it('takes any CID as well', async () => {
    const view = await finalView()
    const { url, get } = await startReceipts([view])
    expect(await get(`/v1/receipts/${view.cid}`, asOwner)).toMatchObject({ cid: view.cid })
    expect((await fetch(`${url}/v1/receipts/x`, { headers: asOwner })).status).toBe(400)
  })
})
