import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rounds } from '../campaign.ts'
import { malformations, writeMalformed } from '../gguf/malformed.ts'
import { ask, type PeerProcess, startPeer, temporaryFolder } from './peer-process.ts'

// What goes wrong in real life, done to a real peer: dying engines, vanishing clients, bad input.

const hello = [{ role: 'user' as const, content: 'Hello' }]

/** An answer that goes on until its context is full, about a second: time to break something. */
const long = { model: 'pinaivu-demo', messages: hello, logit_bias: {} as Record<string, number> }

interface Readiness {
  ready: boolean
  models: { name: string; state: string; running: number; queued: number; error: unknown }[]
}

async function readiness(peer: PeerProcess): Promise<Readiness> {
  return (await (await fetch(`${peer.ready.http}/readyz`)).json()) as Readiness
}

/** Asks until it holds, for at most `limitMs`: how long it took is the result. */
async function until(holds: () => Promise<boolean>, limitMs: number): Promise<number> {
  const began = performance.now()
  while (!(await holds())) {
    if (performance.now() - began > limitMs) throw new Error(`not within ${limitMs} ms`)
  }
  return performance.now() - began
}

const running = async (peer: PeerProcess): Promise<number> =>
  (await readiness(peer)).models.reduce((sum, model) => sum + model.running + model.queued, 0)

/** The processes of the engines: the peer's children. */
function enginePids(peer: PeerProcess): number[] {
  const { pid } = peer.child
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}

const chat = (peer: PeerProcess, content = 'What is a peer?') =>
  ask(peer.ready, '/v1/chat/completions', {
    model: 'pinaivu-demo',
    temperature: 0,
    messages: [{ role: 'user', content }],
  })

describe('a peer in trouble', () => {
  let peer: PeerProcess
  let client: OpenAI

  beforeAll(async () => {
    peer = await startPeer({ args: ['--slots', '2'] })
    client = new OpenAI({
      baseURL: `${peer.ready.http}/v1`,
      apiKey: peer.ready.apiKey,
      maxRetries: 0,
    })
    await chat(peer)
    // The demo model's <|endoftext|> and <|im_end|>, banned so that it cannot stop.
    long.logit_bias = { 0: -100, 2: -100 }
  })
  afterAll(async () => {
    await peer.stop()
  })

  it('answers to the end of the context when it may not stop', async () => {
    // Far behind it this small model takes 10 ms for each token.
    const messages = [{ role: 'user' as const, content: 'hello there '.repeat(450) }]
    const answer = await client.chat.completions.create({ ...long, messages })
    expect(answer.choices[0]?.finish_reason).toBe('length')
    expect(answer.usage?.total_tokens).toBe(1024)
  })

  it('tells a stream that its engine died, and answers the next question', async () => {
    // Each death doubles the wait for the next start, up to half a minute: six take some 20 s.
    for (let round = 0; round < rounds(2, 6); round++) {
      const stream = await client.chat.completions.create({ ...long, stream: true })
      const reading = (async () => {
        let chunks = 0
        for await (const _chunk of stream) {
          if (++chunks === 3) for (const pid of enginePids(peer)) process.kill(pid, 'SIGKILL')
        }
      })()
      await expect(reading).rejects.toMatchObject({ code: 'engine_failed' })
      const next = await chat(peer)
      expect(next.status).toBe(200)
      expect((await next.json()).choices[0].message.content).toContain('one running process')
    }
  })

  it('frees the slot of a client that vanishes in the middle of a stream', async () => {
    for (let round = 0; round < rounds(3, 50); round++) {
      const abort = new AbortController()
      const answer = await ask(
        peer.ready,
        '/v1/chat/completions',
        { ...long, stream: true },
        {
          method: 'POST',
          signal: abort.signal,
        },
      )
      const reader = answer.body?.getReader()
      await reader?.read()
      expect(await running(peer)).toBe(1)
      abort.abort()
      await until(async () => (await running(peer)) === 0, 2000)
    }
  })

  it('frees the slot of a client that vanishes before its first token', async () => {
    const { hostname, port } = new URL(peer.ready.http)
    const body = JSON.stringify({
      ...long,
      messages: [{ role: 'user', content: 'hello there '.repeat(400) }],
    })
    for (let round = 0; round < rounds(3, 50); round++) {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => {})
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}\r\n` +
          `Authorization: Bearer ${peer.ready.apiKey}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      )
      await until(async () => (await running(peer)) > 0, 2000)
      socket.destroy()
      await until(async () => (await running(peer)) === 0, 2000)
    }
  })

  it('refuses bad input with the code that says what is wrong', async () => {
    const cases: [body: unknown, status: number, code: string, param: string | null][] = [
      [{ ...long, model: 'nobody-has-this' }, 404, 'model_not_found', 'model'],
      [
        { ...long, messages: [{ role: 'user', content: 'word '.repeat(3000) }] },
        400,
        'context_length_exceeded',
        'messages',
      ],
      [{ ...long, stop: Array(10_000).fill('x') }, 400, 'invalid_value', 'stop'],
      [{ ...long, temperature: 'hot' }, 400, 'invalid_type', 'temperature'],
      [{ ...long, temprature: 1 }, 400, 'unknown_parameter', 'temprature'],
      [{ ...long, logit_bias: { 999999: 1 } }, 400, 'invalid_value', 'logit_bias'],
      [{ ...long, model: 'pinaivu-demo-embed' }, 400, 'model_not_supported', 'model'],
    ]
    for (const [body, status, code, param] of cases) {
      const answer = await ask(peer.ready, '/v1/chat/completions', body)
      const { error, request_id } = await answer.json()
      expect([answer.status, error.code, error.param]).toEqual([status, code, param])
      expect(request_id).toMatch(/^req_/)
    }
    expect(await running(peer)).toBe(0)
  })

  it('answers twenty at once, each its own question', async () => {
    const asked = [
      ['What is a peer?', 'one running process'],
      ['Repeat after me: green apple', 'green apple'],
    ] as const
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const [question, wanted] = asked[index % 2] ?? asked[0]
        const answer = await chat(peer, question)
        return [(await answer.json()).choices[0].message.content, wanted] as const
      }),
    )
    for (const [text, wanted] of answers) expect(text).toContain(wanted)
  })

  it('lets a running answer end when it is stopped', async () => {
    const other = await startPeer()
    await chat(other)
    // Well within the drain deadline, however busy the machine is.
    const body = { ...long, stream: true, max_tokens: 200 }
    const answer = await ask(other.ready, '/v1/chat/completions', body)
    const reader = answer.body?.getReader()
    await reader?.read()
    const stopped = other.stop()
    const decoder = new TextDecoder()
    let rest = ''
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      rest += decoder.decode(part.value, { stream: true })
    }
    expect(rest).toContain('[DONE]')
    expect(await stopped).toBe(0)
  })
})

describe('a peer whose model files are broken', () => {
  it('serves the good one, says what is wrong with the others, and lives', async () => {
    const folder = temporaryFolder()
    const good = new URL('../../models/pinaivu-demo-q8_0.gguf', import.meta.url).pathname
    // All of them are given to the engines themselves, in `test/engines`.
    const some = malformations.slice(0, rounds(3, malformations.length))
    const bad = some.flatMap((malformation) => [
      '--model',
      `${malformation}=${writeMalformed(folder.path, malformation)}`,
    ])
    const peer = await startPeer({
      dataDir: join(folder.path, 'data'),
      args: ['--model', `good=${good}`, ...bad],
    })
    try {
      for (const malformation of some) {
        const event = await peer.event(
          (found) =>
            found.event === 'model' && found.name === malformation && found.state === 'failed',
        )
        expect(event.error).toMatchObject({ code: expect.any(String) })
        const answer = await ask(peer.ready, '/v1/chat/completions', {
          model: malformation,
          messages: hello,
        })
        expect(answer.status).toBeGreaterThanOrEqual(500)
        expect((await answer.json()).error.message).not.toContain(folder.path)
      }
      const answer = await ask(peer.ready, '/v1/chat/completions', {
        model: 'good',
        messages: hello,
      })
      expect(answer.status).toBe(200)
      expect(await peer.stop()).toBe(0)
    } finally {
      await peer.kill()
      folder.remove()
    }
  })
})
