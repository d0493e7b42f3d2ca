import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, type PeerProcess, runProgram, startPeer, temporaryFolder } from './peer-process.ts'

// A real peer that works for money, asked by an account that is granted some.

const folder = temporaryFolder()
const dataDir = folder.path
const PRICE = { input: 1_000, output: 2_000 }
const GRANT = 1_000_000
let peer: PeerProcess
let key: string

const start = async () => {
  peer = await startPeer({ dataDir, args: ['--price', `${PRICE.input}/${PRICE.output}`] })
}

const cli = async (...args: string[]) => {
  const done = await runProgram([...args, '--json', '--data-dir', dataDir])
  return { code: done.code, json: JSON.parse(done.stdout || 'null') }
}

interface Usage {
  prompt_tokens: number
  completion_tokens: number
}

const costOf = ({ prompt_tokens: input, completion_tokens: output }: Usage): number =>
  Math.ceil((input * PRICE.input + output * PRICE.output) / 1_000)

const chat = (more: object = {}, signal?: AbortSignal) =>
  ask(
    { ...peer.ready, apiKey: key },
    '/v1/chat/completions',
    {
      ...{ model: 'pinaivu-demo', max_tokens: 12 },
      messages: [{ role: 'user', content: 'What is a peer?' }],
      ...more,
    },
    signal && { signal },
  )

const get = async (path: string, apiKey = key) => {
  const answer = await fetch(peer.ready.http + path, {
    headers: { authorization: `Bearer ${apiKey}` },
  })
  return (await answer.json()) as Record<string, unknown>
}

const available = async () => Number((await get('/api/v1/credits')).available_credits)

beforeAll(async () => {
  await start()
  const made = await cli('keys', 'create', '--name', 'app', '--account', 'alice')
  key = made.json.key
})
afterAll(async () => {
  await peer.kill()
  folder.remove()
})

describe('an account that pays', () => {
  it('is refused before anything runs, until it has credits', async () => {
    const refused = await chat()
    expect(refused.status).toBe(402)
    expect(await refused.json()).toMatchObject({
      error: { code: 'insufficient_credits', type: 'insufficient_quota', param: null },
    })
    const streamed = await chat({ stream: true })
    expect(streamed.status).toBe(402)
    expect((await get('/v1/usage')).total_requests).toBe(0)
    expect(await cli('credits', 'grant', 'alice', `${GRANT}`, '--expires', '30d')).toMatchObject({
      code: 0,
      json: { account: 'alice', amount: GRANT, balance: GRANT },
    })
  })

  it('pays for what was read and written: whole, streamed, cancelled', async () => {
    const whole = (await (await chat()).json()) as { usage: Usage }
    let left = GRANT - costOf(whole.usage)
    expect(await available()).toBe(left)
    const stream = await (
      await chat({ stream: true, stream_options: { include_usage: true } })
    ).text()
    const usage = JSON.parse(/"usage":(\{"prompt_tokens".*?\}\})/.exec(stream)?.[1] ?? '')
    left -= costOf(usage)
    expect(await available()).toBe(left)

    const leaving = new AbortController()
    const cut = await chat({ stream: true, max_tokens: 200 }, leaving.signal)
    const reader = (cut.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    leaving.abort()
    await reader.read().catch(() => {})
    await expect.poll(async () => (await get('/v1/usage')).total_requests).toBe(3)
    const used = await get('/v1/usage')
    expect(used).toMatchObject({ failed_requests: 0, total_cost: GRANT - (await available()) })
    const cost = left - (await available())
    expect(cost).toBeGreaterThan(0)
    expect(cost).toBeLessThan(costOf({ ...whole.usage, completion_tokens: 200 }))
    const { data } = (await get('/api/v1/credits/ledger')) as { data: { amount: number }[] }
    expect(data.map(({ amount }) => amount)).toEqual([
      ...[-cost, -costOf(usage), -costOf(whole.usage), GRANT],
    ])
    // The other account is nobody's business.
    expect((await get('/api/v1/credits?account=owner')).error).toMatchObject({
      code: 'api_scope_denied',
    })
  })

  it('keeps what was settled, and nothing that was set aside, when the peer is killed', async () => {
    const before = await available()
    const cut = await chat({ stream: true, max_tokens: 300 })
    await (cut.body as ReadableStream<Uint8Array>).getReader().read()
    expect(await available()).toBeLessThan(before)
    await peer.kill()
    await start()
    expect(await get('/api/v1/credits')).toMatchObject({
      ...{ current_credits: before, reserved_credits: 0, available_credits: before },
    })
    const audit = await cli('credits', 'audit')
    expect(audit).toMatchObject({
      code: 0,
      json: { ok: true, sum: 0, charges: { matched: 3, without_entry: 0 }, problems: [] },
    })
  })

  it('is seen by the owner', async () => {
    const credits = await cli('credits', '--account', 'alice')
    expect(credits).toMatchObject({ code: 0, json: { account: 'alice', reserved_credits: 0 } })
    expect(credits.json.ledger).toHaveLength(4)
    const usage = await cli('usage', '--account', 'alice')
    expect(usage.json).toMatchObject({ total_requests: 3, by_key: [{ requests: 3 }] })
    expect(await cli('credits', 'owed')).toEqual({ code: 0, json: [] })
    expect((await cli('credits')).json).toMatchObject({ available_credits: 1_000_000_000 })
    const text = await runProgram(['usage', '--account', 'alice', '--data-dir', dataDir])
    expect(text.stdout).toMatch(/pinaivu-demo +3 +0/)
  })
})
