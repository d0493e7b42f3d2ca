import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GhostView, ghost, verifyReceipt } from '../../src/sdk/index.ts'
import { rounds } from '../campaign.ts'
import { slowF32 } from '../gguf/lane.ts'
import { ask, type PeerProcess, startPeer } from './peer-process.ts'

// On the lane where rounding is the same everywhere: what another provider goes on with is what the first
// one would have said.

const MODEL = 'slow'
const TOKENS = 96
/** By then it repeats itself, and is guessed. */
const LOST_BEHIND = 24

const body = {
  model: MODEL,
  prompt: 'one two three one two three one two three',
  ...{ max_tokens: TOKENS, temperature: 0, seed: 7 },
}

describe.runIf(rounds(0, 1) > 0)('a stream whose drafts are shown', () => {
  const providers = new Map<string, PeerProcess>()
  let gateway: PeerProcess

  beforeAll(async () => {
    const args = ['--no-demo', '--reproducible', '--model', `${MODEL}=${slowF32()}`]
    const started = await Promise.all([startPeer({ args }), startPeer({ args })])
    for (const peer of started) providers.set(peer.ready.peerId, peer)
    const doors = started.flatMap(({ ready }) => ['--bootstrap', ready.addrs[0] ?? ''])
    gateway = await startPeer({ args: ['--no-demo', ...doors] })
    await untilServed(2)
  })
  afterAll(async () => {
    await Promise.all([gateway, ...providers.values()].map((peer) => peer?.stop()))
  })

  async function untilServed(count: number): Promise<void> {
    for (;;) {
      const { data } = await (await ask(gateway.ready, '/v1/models')).json()
      const model = data.find(({ id }: { id: string }) => id === MODEL)
      if (model?.nodes === count) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  it('goes on when its provider is killed, without what that one had drafted', async () => {
    const plain = await (await ask(gateway.ready, '/v1/completions', body)).json()
    const watched = { ...body, stream: true, stream_mode: 'v8' }
    const views: GhostView[] = []
    let killed: string | undefined
    let wasDrafted = false
    for await (const view of ghost(await ask(gateway.ready, '/v1/completions', watched))) {
      views.push(view)
      const { tokens, opened, event } = view
      if (tokens.committed < LOST_BEHIND || event.event !== 'token.provisional') continue
      if (killed !== undefined) continue
      killed = opened?.node.id ?? ''
      wasDrafted = view.ghost !== ''
      void providers.get(killed)?.kill()
    }
    const { committed, isDone, event } = views.at(-1) as GhostView
    expect({ isDone, wasDrafted }).toEqual({ isDone: true, wasDrafted: true })
    expect(committed).toBe(plain.choices[0].text)
    if (event.event !== 'token.finalize' || event.receipt === null) throw new Error(event.event)
    expect(event.receipt.resumed).toBe(1)
    expect(event.receipt.nodes?.[0]).toBe(killed)
    expect(event.receipt.nodes).toHaveLength(2)
    expect(event.usage.completion_tokens).toBe(plain.usage.completion_tokens)
    const reasons = views.flatMap(({ event: each }) =>
      each.event === 'token.rollback' ? [each.reason] : [],
    )
    expect(reasons).toContain('node_lost')
    const receipt = await (await ask(gateway.ready, `/v8/receipts/${event.final_cid}`)).json()
    expect(verifyReceipt(receipt, { answer: committed }).holds).toBe(true)
  })
})
