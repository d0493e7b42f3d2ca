import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// Answers that end too early, between real processes: what came of them is in the log.

const MODEL = 'pinaivu-demo'
/** The demo model's ends, banned so that it goes on until its context is full. */
const long = {
  model: MODEL,
  temperature: 0,
  messages: [{ role: 'user', content: 'What is a peer?' }],
  logit_bias: { 0: -100, 2: -100 },
  stream: true,
}
/** More than the first segment covers. */
const TOKENS = 40

const folder = temporaryFolder()
const started: PeerProcess[] = []

async function peer(args: string[], dataDir?: string): Promise<PeerProcess> {
  const made = await startPeer({
    args: ['--network', 'cut', ...args],
    ...(dataDir === undefined ? {} : { dataDir }),
  })
  started.push(made)
  return made
}

const gateway = (provider: PeerProcess) =>
  peer(
    ['--no-demo', '--roles', 'coordinator', '--bootstrap', provider.ready.addrs[0] ?? ''],
    folder.path,
  )

afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each.kill()))
  folder.remove()
})

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const signal = AbortSignal.timeout(20_000)
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(50, undefined, { signal })
  }
}

async function untilServed({ ready }: PeerProcess): Promise<true> {
  return until(async () => {
    const { data } = await (await ask(ready, '/v1/models')).json()
    return data.some(({ nodes }: { nodes: number }) => nodes > 0) || undefined
  })
}

/** Reads so many tokens of a long answer, then does `leave`; says what came, and the request's id. */
async function readSome({ ready }: PeerProcess, leave: (abort: AbortController) => void) {
  const abort = new AbortController()
  const { signal } = abort
  const answer = await ask(ready, '/v1/chat/completions', long, { method: 'POST', signal })
  expect(answer.status).toBe(200)
  let text = ''
  let left = false
  const decoder = new TextDecoder()
  try {
    for await (const bytes of answer.body ?? []) {
      text += decoder.decode(bytes, { stream: true })
      if (left || text.split('\n\n').length <= TOKENS) continue
      left = true
      leave(abort)
    }
  } catch {
    // The client itself has left.
  }
  return { text, requestId: answer.headers.get('x-request-id') ?? '' }
}

const receiptOf = ({ ready }: PeerProcess, requestId: string) =>
  until(async () => {
    const answer = await ask(ready, `/v1/receipts/${requestId}`)
    return answer.status === 200 ? await answer.json() : undefined
  })

describe('an answer that ends too early', { timeout: 60_000 }, () => {
  it('is in the log: the client left, the provider was killed, the own peer after it', async () => {
    const provider = await peer([])
    let asked = await gateway(provider)
    await untilServed(asked)

    const left = await readSome(asked, (abort) => abort.abort())
    const partial = await receiptOf(asked, left.requestId)
    expect(partial).toMatchObject({ verdict: 'ok', verified: true, node_id: provider.ready.peerId })
    const { segments } = await (await ask(asked.ready, `/v8/receipts/${partial.ryv1_cid}`)).json()

    const lost = await readSome(asked, () => provider.child.kill('SIGKILL'))
    expect(lost.text).toContain('"error"')
    const whole = await receiptOf(asked, lost.requestId)
    expect(whole).toMatchObject({ verdict: 'dispute', dispute: 'broken', verified: true })
    expect(whole.usage.output_tokens).toBeGreaterThanOrEqual(TOKENS)
    expect(whole.parts).toMatchObject([{ node: provider.ready.peerId, status: 'segment' }])

    const gone = once(asked.child, 'exit')
    asked.child.kill('SIGKILL')
    await gone
    asked = await gateway(provider)
    for (const [id, { ryv1_cid }] of [
      [left.requestId, partial],
      [lost.requestId, whole],
    ] as const) {
      expect(await receiptOf(asked, id)).toMatchObject({ ryv1_cid, verified: true })
    }
    for (const [cid, finalCid] of [
      [segments[0].cid, partial.ryv1_cid],
      [whole.parts[0].cid, whole.ryv1_cid],
    ]) {
      const found = await (await ask(asked.ready, `/v8/receipts/${cid}`)).json()
      expect(found).toMatchObject({ status: 'segment', verified: true, final_cid: finalCid })
    }
  })
})
