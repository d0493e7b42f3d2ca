import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GhostView, ghost, verifyReceipt } from '../../src/sdk/index.ts'
import { ask, type PeerProcess, startPeer } from './peer-process.ts'

/** Long enough for a receipt in the middle. */
const body = {
  model: 'pinaivu-demo',
  messages: [{ role: 'user', content: 'Count from one to twenty.' }],
  temperature: 0,
}

describe('a stream whose drafts are shown, of a real peer', () => {
  let peer: PeerProcess
  beforeAll(async () => {
    peer = await startPeer()
  })
  afterAll(async () => {
    await peer.stop()
  })

  const watch = async (): Promise<GhostView[]> => {
    const path = '/v1/chat/completions'
    const answer = await ask(peer.ready, path, { ...body, stream: true, stream_mode: 'v8' })
    const views: GhostView[] = []
    for await (const view of ghost(answer)) views.push(view)
    return views
  }

  it('comes to the text of the answer without drafts', async () => {
    const plain = await (await ask(peer.ready, '/v1/chat/completions', body)).json()
    const views = await watch()
    const [first, last] = [views.at(0), views.at(-1)]
    expect(last).toMatchObject({ isDone: true, ghost: '' })
    expect(last?.committed).toBe(plain.choices[0].message.content)
    expect(last?.tokens.committed).toBe(plain.usage.completion_tokens)
    expect(first?.opened).toMatchObject({ model: 'pinaivu-demo', node: { id: peer.ready.peerId } })
    for (const [at, { committed }] of views.entries()) {
      expect(committed.startsWith(views[at - 1]?.committed ?? '')).toBe(true)
    }
  })

  it('has receipts, each of which holds by itself over what was committed', async () => {
    const texts: string[] = []
    let segments = 0
    const holds = async (cid: string | null, answer: string) => {
      const receipt = await (await ask(peer.ready, `/v8/receipts/${cid}`)).json()
      return verifyReceipt(receipt, { answer }).holds
    }
    for (const { event, committed } of await watch()) {
      if (event.event === 'token.commit') texts[event.id] = (texts[event.id] ?? '') + event.text
      if (event.event === 'receipt.bound') {
        const { cid, segment_start: start, segment_end: end } = event
        expect(await holds(cid, texts.slice(start, end + 1).join(''))).toBe(true)
        segments++
      }
      if (event.event !== 'token.finalize') continue
      expect(await holds(event.final_cid, committed)).toBe(true)
      expect(await holds(event.final_cid, `${committed}.`)).toBe(false)
    }
    expect(segments).toBeGreaterThan(0)
  })
})
