import { describe, expect, it } from 'vitest'
import type { ReceiptView } from '../../src/receipts/view.ts'
import { signReceipt } from '../../src/wire/receipt.ts'
import { execution, provider } from '../wire/log-examples.ts'
import { errorOf } from './harness.ts'
import { startReceipts } from './receipt-server.ts'
import { finalView, receiptView } from './receipt-views.ts'

/** Different ones, of different nodes and models in turn. */
async function many(count: number): Promise<ReceiptView[]> {
  const { execution: entry } = await finalView()
  return Array.from({ length: count }, (_, at) => {
    const fields = { ...execution().receipt, jobId: `job_${at}` }
    const view = receiptView(signReceipt(fields, (message) => provider.sign(message)))
    if (entry === undefined || at % 2 === 0) return view
    return { ...view, execution: { ...entry, body: { ...entry.body, modelName: 'phi-4' } } }
  })
}

interface List {
  data: { cid: string }[]
  has_more: boolean
  first_id: string | null
  last_id: string | null
}

describe('GET /v8/receipts/recent', () => {
  it('lists 32, and goes on after the last', async () => {
    const views = await many(40)
    const { get } = await startReceipts(views)
    const first = await get<List>('/v8/receipts/recent')
    expect(first.data.map(({ cid }) => cid)).toEqual(views.slice(0, 32).map(({ cid }) => cid))
    expect(first).toMatchObject({ has_more: true, first_id: views[0]?.cid })
    expect(first.last_id).toBe(views[31]?.cid)
    const next = await get<List>(`/v8/receipts/recent?after=${first.last_id}`)
    expect(next).toMatchObject({ has_more: false, last_id: views[39]?.cid })
    expect(next.data).toHaveLength(8)
    expect(next.data[0]).not.toHaveProperty('proof')
  })

  it('is empty where there is none', async () => {
    const { get } = await startReceipts()
    expect(await get('/v8/receipts/recent')).toEqual({
      object: 'list',
      data: [],
      has_more: false,
      first_id: null,
      last_id: null,
    })
  })

  it('takes those of a model, or of a node', async () => {
    const views = await many(10)
    const { get } = await startReceipts(views)
    const cids = async (query: string) =>
      (await get<List>(`/v8/receipts/recent?${query}`)).data.map(({ cid }) => cid)
    const phi = views.filter((_, at) => at % 2 === 1).map(({ cid }) => cid)
    expect(await cids('model=phi-4')).toEqual(phi)
    expect(await cids('model=phi-4&limit=2')).toEqual(phi.slice(0, 2))
    expect(await cids(`node=${provider.peerId}`)).toHaveLength(10)
    expect(await cids('node=12D3KooOther')).toEqual([])
  })

  it('looks so far and no further, and says where to go on', async () => {
    const { get } = await startReceipts(await many(450))
    const first = await get<List>('/v8/receipts/recent?model=none')
    expect(first).toMatchObject({ data: [], has_more: true, first_id: null })
    const next = await get<List>(`/v8/receipts/recent?model=none&after=${first.last_id}`)
    expect(next).toMatchObject({ data: [], has_more: false })
  })

  it('goes on from where the looking for more was given up', async () => {
    const place = `${provider.peerId}.0303030303030303.41`
    const [view] = await many(1)
    const { get } = await startReceipts([view as ReceiptView], {}, { stopsAt: place })
    const first = await get<List>('/v8/receipts/recent')
    expect(first).toMatchObject({ data: [{ cid: view?.cid }], has_more: true, last_id: place })
    const next = await get<List>(`/v8/receipts/recent?after=${place}`)
    expect(next).toMatchObject({ data: [], has_more: false, last_id: null })
  })

  it.each([
    ['limit=0', 'limit', 'invalid_value'],
    ['limit=101', 'limit', 'invalid_value'],
    ['limit=1e1', 'limit', 'invalid_value'],
    ['after=x', 'after', 'invalid_cid'],
    [`after=${provider.peerId}.0303030303030303.01`, 'after', 'invalid_cid'],
    [`after=${provider.peerId}.0303030303030303.1000000000000000`, 'after', 'invalid_cid'],
    [`after=${'1'.repeat(52)}.0303030303030303.1`, 'after', 'invalid_cid'],
    ['color=red', 'color', 'unknown_parameter'],
    ['model=a&model=b', 'model', 'invalid_type'],
  ])('refuses ?%s', async (query, param, code) => {
    const { url } = await startReceipts()
    const answer = await fetch(`${url}/v8/receipts/recent?${query}`)
    expect(answer.status).toBe(400)
    expect((await errorOf(answer)).error).toMatchObject({ param, code })
  })
})

const asEvents = { headers: { accept: 'text/event-stream' } }

describe('recent receipts as they come', () => {
  it('are told to those who listen, and to nobody else', async () => {
    const [first, phi] = await many(2)
    if (first === undefined || phi === undefined) throw new Error('made two')
    const { url, listeners, tell } = await startReceipts()
    const all = await fetch(`${url}/v8/receipts/recent`, asEvents)
    const some = await fetch(`${url}/v8/receipts/recent?model=phi-4`, asEvents)
    expect(all.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(listeners.size).toBe(2)
    const [readAll, readSome] = [reader(all), reader(some)]
    tell(first)
    tell(phi)
    expect([await readAll(), await readAll()]).toMatchObject([{ cid: first.cid }, { cid: phi.cid }])
    expect(await readSome()).toMatchObject({ cid: phi.cid, model: 'phi-4' })
  })

  it('end when the listener leaves', async () => {
    const { url, listeners } = await startReceipts()
    const gone = new AbortController()
    await fetch(`${url}/v8/receipts/recent`, { ...asEvents, signal: gone.signal })
    expect(listeners.size).toBe(1)
    gone.abort()
    await expect.poll(() => listeners.size).toBe(0)
  })

  it('do not hold up the end of the server', async () => {
    const { url, server, listeners } = await startReceipts()
    const answer = await fetch(`${url}/v8/receipts/recent`, asEvents)
    const startedAt = performance.now()
    await server.stop()
    await answer.text()
    expect(listeners.size).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(5000)
  })

  it('are told to so many and no more', async () => {
    const { url, listeners } = await startReceipts()
    // Held: a stream that nobody refers to any more is collected, and so leaves.
    const held: Response[] = []
    while (held.length < 64) held.push(await fetch(`${url}/v8/receipts/recent`, asEvents))
    const refused = await fetch(`${url}/v8/receipts/recent`, asEvents)
    expect(refused.status).toBe(503)
    expect((await errorOf(refused)).error.code).toBe('overloaded')
    expect(listeners.size).toBe(held.length)
  })
})

/** Reads the data of one event after the other. */
function reader(answer: Response): () => Promise<unknown> {
  const body = answer.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  return async () => {
    for (;;) {
      const match = /data: (.*)\n\n/.exec(text)
      if (match !== null) {
        text = text.slice(match.index + match[0].length)
        return JSON.parse(match[1] ?? '')
      }
      const piece = await body?.read()
      if (piece === undefined || piece.done) throw new Error('the stream ended')
      text += decoder.decode(piece.value, { stream: true })
    }
  }
}
