import { describe, expect, it, onTestFinished } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { boundsOf, quote } from '../../src/market/quote.ts'
import { eventsOf, type SseEvent } from './product-server.ts'
import { type ScriptedEngine, talk } from './scripted-engine.ts'
import { startWholePeer } from './whole-peer.ts'

// What a turn cost, as its answer says and as the ledger has it: on whole peers.

const PRICE = { input: 1_000, output: 2_000 }
/** Of the scripted answer: five tokens in, and so many out. */
const cost = (outputTokens: number) => 5 + 2 * outputTokens
const hello = { model: 'test-chat', message: 'Hello', max_tokens: 8 }

type Json = Record<string, unknown>

async function startPeer(price: string) {
  const peer = await startWholePeer({ price })
  onTestFinished(() => peer.stop())
  const { http, apiKey, engine } = peer
  const ask = (path: string, body?: object) =>
    fetch(`${http}/api/v1${path}`, {
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
  const turn = async (more: object = {}) => {
    const answer = await ask('/chat/completions', { ...hello, ...more })
    return (await answer.json()) as Json
  }
  return { engine, ask, turn, charges: () => chargesIn(ask) }
}

/** The newest first. */
async function chargesIn(ask: (path: string) => Promise<Response>): Promise<Json[]> {
  const { data } = (await (await ask('/credits/ledger')).json()) as { data: Json[] }
  return data.filter(({ type }) => type === 'charge')
}

/** What could have been charged at most. */
const mostOf = ({ engine }: { engine: ScriptedEngine }): number => {
  const work = engine.jobs.at(-1)?.work
  if (work === undefined) throw new Error('nothing was asked')
  return quote(boundsOf(work, 512), PRICE)
}

const completed = (events: SseEvent[]) =>
  events.find(({ event }) => event === 'chat.completed')?.data as Json

describe('the credits of a turn', () => {
  it('are what was set aside and what was charged, in a whole answer and in a stream', async () => {
    const peer = await startPeer('1000/2000')
    const whole = await peer.turn()
    expect(whole.credits).toEqual({ reserved: mostOf(peer), final: cost(8) })
    expect(mostOf(peer)).toBeGreaterThan(cost(8))
    const [charge] = await peer.charges()
    expect(charge).toMatchObject({ amount: -cost(8), request_id: whole.request_id })

    for (const [path, more] of [
      ['/chat/completions/stream', {}],
      ['/chat/completions', { stream: true }],
    ] as const) {
      const answer = await peer.ask(path, { ...hello, max_tokens: 3, ...more })
      const { credits, usage } = completed(eventsOf(await answer.text()))
      expect(credits).toEqual({ reserved: mostOf(peer), final: cost(3) })
      expect(usage).toMatchObject({ input_tokens: 5, output_tokens: 3 })
    }
    expect((await peer.charges()).map(({ amount }) => amount)).toEqual(
      [cost(3), cost(3), cost(8)].map((amount) => -amount),
    )
  })

  it('are those of the attempt that was answered; the others cost nothing', async () => {
    const peer = await startPeer('1000/2000')
    const { session_id } = await peer.turn()
    peer.engine.script = async function* (job, signal) {
      if (job.work.kind === 'chat' && job.work.messages.length > 1) {
        throw new PeerError('context_length_exceeded', 'Too long.', { param: 'messages' })
      }
      yield* talk(job, signal)
    }
    const second = await peer.turn({ session_id })
    expect(peer.engine.jobs).toHaveLength(3)
    expect(second.credits).toEqual({ reserved: mostOf(peer), final: cost(8) })
    expect(await peer.charges()).toHaveLength(2)
    const { current_credits, reserved_credits } = (await (
      await peer.ask('/credits')
    ).json()) as Json
    expect([current_credits, reserved_credits]).toEqual([1_000_000_000 - 2 * cost(8), 0])
  })

  it('are nothing for a model that costs nothing', async () => {
    const peer = await startPeer('0/0')
    expect((await peer.turn()).credits).toEqual({ reserved: 0, final: 0 })
    const answer = await peer.ask('/chat/completions/stream', hello)
    expect(completed(eventsOf(await answer.text())).credits).toEqual({ reserved: 0, final: 0 })
    expect(await peer.charges()).toEqual([])
  })
})
