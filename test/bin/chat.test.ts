import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chat } from '../../bin/chat.ts'
import { withPeer } from '../../bin/chat-peer.ts'
import { parseCommandLine } from '../../bin/command.ts'
import type { HttpClient } from '../../bin/http-client.ts'
import type { Config, Peer } from '../../src/index.ts'
import { chatPath, chunk, counting, end, head, messagesOf, ready } from './chat-answers.ts'
import { type Answer, fakePeer, json, offers, peerState, stage, wholePeer } from './stage.ts'

describe('chat from a pipe', () => {
  it('takes each line as a question, and remembers', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage()
    io.stdin.end('Hello!\n\nAgain\n')
    const options = ['--system', 'Be brief.', '--temperature', '0', '--max-tokens', '7']
    expect(await io.run('chat', '--data-dir', dataDir, ...options)).toBe(0)
    expect(io.stdout.text).toBe('I was sent 2 messages.\nI was sent 4 messages.\n')
    expect(asked.at(-1)?.body).toEqual({
      model: 'pinaivu-demo',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hello!' },
        { role: 'assistant', content: 'I was sent 2 messages.' },
        { role: 'user', content: 'Again' },
      ],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
      max_completion_tokens: 7,
    })
    expect(asked.at(-1)?.authorization).toBe('Bearer sk-pnv-owner')
  })

  it('prints a JSON object for each answer', async () => {
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage()
    io.stdin.end('Hello!\nAgain')
    expect(await io.run('chat', 'some-alias', '--json', '--data-dir', dataDir)).toBe(0)
    const [first, second] = io.stdout.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(first).toEqual({
      model: 'some-alias',
      question: 'Hello!',
      answer: 'I was sent 1 messages.',
      finish_reason: 'stop',
      usage: { total_tokens: 9 },
      request_id: 'req_1',
    })
    expect(second.answer).toBe('I was sent 3 messages.')
  })

  it('asks once', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    expect(await io.run('chat', '--once', 'Hi', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe('I was sent 1 messages.\n')
    expect(asked.at(-1)?.body).not.toHaveProperty('stream_mode')
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Hi' }])
  })

  it('asks no more when nobody reads the answers', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage()
    Object.assign(io.stdout, { errored: new Error('EPIPE') })
    io.stdin.end('One\nTwo\nThree\n')
    expect(await io.run('chat', 'any', '--data-dir', dataDir)).toBe(1)
    expect(asked.filter(({ path }) => path === '/v1/chat/completions')).toHaveLength(1)
  })

  it('has not done what was asked once when it was interrupted', async () => {
    const stuck: Answer = (_asked, response) => {
      head(response)
      response.write(chunk('so far'))
    }
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: stuck })
    const io = stage()
    const done = io.run('chat', '--once', 'Hi', '--data-dir', dataDir)
    await io.stdout.until('so far')
    io.interrupt()
    expect(await done).toBe(1)
  })

  it('neutralises what a model writes, also when it comes in pieces', async () => {
    const evil: Answer = (_asked, response) => {
      head(response)
      response.end(chunk('a\u001b') + chunk('[2Jb\u009b1m', 'stop') + end)
    }
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: evil })
    const io = stage()
    await io.run('chat', '--once', 'Hi', '--data-dir', dataDir)
    expect(io.stdout.text).toBe('a␛[2Jb�1m\n')
  })

  it.each([
    ['a refusal', json({ error: { message: 'The model does not exist.' } }, 404), /does not exist/],
    [
      'an error in the stream',
      ((_asked, response) => {
        head(response)
        const error = { error: { message: 'The engine died.' } }
        response.end(`${chunk('a')}data: ${JSON.stringify(error)}\n\n`)
      }) satisfies Answer,
      /The engine died/,
    ],
    [
      'a stream that breaks off',
      ((_asked, response) => {
        head(response)
        response.end(chunk('a'))
      }) satisfies Answer,
      /ended in the middle of an answer/,
    ],
    [
      'an event that is not JSON',
      ((_asked, response) => {
        head(response)
        response.end('data: {"choices\n\n')
      }) satisfies Answer,
      /an event that is not JSON/,
    ],
    [
      'a connection that is cut',
      ((_asked, response) => {
        head(response)
        response.write(chunk('a'), () => response.destroy())
      }) satisfies Answer,
      /Error: /,
    ],
  ])('fails plainly after %s', async (_name, answer: Answer, text) => {
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: answer })
    const io = stage()
    io.stdin.end('Hello!\nAgain\n')
    expect(await io.run('chat', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(text)
    expect(io.stderr.text).not.toMatch(/unexpected/)
  })

  it('talks to a model of other peers when this one has none', async () => {
    const models = [{ ...peerState.models[0], kind: 'embedding' }]
    const { dataDir, asked } = await fakePeer({
      ...wholePeer,
      'GET /readyz': json({ ...peerState, models }),
      [chatPath]: counting,
    })
    const io = stage()
    expect(await io.run('chat', '--once', 'x', '--data-dir', dataDir)).toBe(0)
    expect(asked.at(-1)?.body).toMatchObject({ model: 'phi-4' })
  })

  it('says so when there is nothing to chat with', async () => {
    const models = [{ ...peerState.models[0], kind: 'embedding' }]
    const { dataDir } = await fakePeer({
      'GET /readyz': json({ ...peerState, models }),
      'GET /v1/models': json({ data: [{ ...offers[1], nodes: 0 }] }),
    })
    const io = stage()
    expect(await io.run('chat', '--once', 'x', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/has no model to chat with/)
  })
})

describe('chat at a terminal', () => {
  const ctrlC = '\u0003'
  const ctrlD = '\u0004'
  const enter = '\r'

  async function dialogue(answer: Answer) {
    const peer = await fakePeer({ ...ready, [chatPath]: answer })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir)
    const prompt = await io.stdout.until('> ')
    return { ...peer, io, done, prompt }
  }

  it('converses, clears, helps, and leaves with /quit', async () => {
    const { io, done, asked, prompt } = await dialogue(counting)
    io.stdin.write(`Hello!${enter}`)
    let at = await io.stdout.until('I was sent 1 messages.\n', prompt)
    at = await io.stdout.until('> ', at)
    io.stdin.write(`/clear${enter}`)
    at = await io.stdout.until('> ', await io.stdout.until('/clear', at))
    io.stdin.write(`/help${enter}`)
    at = await io.stdout.until('> ', await io.stdout.until('Ctrl-C stops an answer.', at))
    io.stdin.write(`Again${enter}`)
    await io.stdout.until('I was sent 1 messages.\n', at)
    io.stdin.write(`/quit${enter}`)
    expect(await done).toBe(0)
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Again' }])
  })

  it('stops an answer with Ctrl-C, keeps what came of it, and leaves with Ctrl-D', async () => {
    let vanished: () => void = () => {}
    const clientLeft = new Promise<void>((resolve) => {
      vanished = resolve
    })
    let calls = 0
    const { io, done, asked, prompt } = await dialogue((one, response) => {
      calls += 1
      if (calls > 1) {
        counting(one, response)
        return
      }
      head(response)
      response.on('close', vanished)
      response.write(chunk('It was a dark'))
    })
    io.stdin.write(`Tell me${enter}`)
    let at = await io.stdout.until('It was a dark', prompt)
    io.stdin.write(ctrlC)
    at = await io.stdout.until('> ', await io.stdout.until('(stopped)', at))
    await clientLeft
    io.stdin.write(`Go on${enter}`)
    at = await io.stdout.until('I was sent 3 messages.', at)
    expect(messagesOf(asked.at(-1))).toEqual([
      { role: 'user', content: 'Tell me' },
      { role: 'assistant', content: 'It was a dark' },
      { role: 'user', content: 'Go on' },
    ])
    await io.stdout.until('> ', at)
    io.stdin.write(ctrlD)
    expect(await done).toBe(0)
  })

  it('leaves at the second Ctrl-C at the prompt, and first drops what is half typed', async () => {
    const { io, done, prompt } = await dialogue(counting)
    io.stdin.write('half typ')
    let at = await io.stdout.until('half typ', prompt)
    io.stdin.write(ctrlC)
    at = await io.stdout.until('> ', at)
    io.stdin.write(ctrlC)
    await io.stdout.until('(Ctrl-C again leaves)', at)
    io.stdin.write(ctrlC)
    expect(await done).toBe(0)
  })

  it('goes on after an answer that failed, without its question', async () => {
    let calls = 0
    const { io, done, asked, prompt } = await dialogue((one, response) => {
      calls += 1
      if (calls > 1) counting(one, response)
      else json({ error: { message: 'Too long.' } }, 400)(one, response)
    })
    io.stdin.write(`Long${enter}`)
    await io.stderr.until('Error: Too long.')
    io.stdin.write(`Short${enter}`)
    await io.stdout.until('I was sent 1 messages.', prompt)
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Short' }])
    io.interrupt()
    expect(await done).toBe(0)
  })
})

describe('chat without a running peer', () => {
  it('starts one on free ports, talks to it, and stops it', async () => {
    const { dataDir, url } = await fakePeer({ ...ready, [chatPath]: counting })
    rmSync(join(dataDir, 'peer.json'))
    const said: string[] = []
    let config: Config | undefined
    const peer: Peer = {
      start: async () => void said.push('start'),
      stop: async () => void said.push('stop'),
      models: () => [],
      onModel: () => () => {},
      onPeer: () => () => {},
      async *generate() {},
      reconfigure: () => ({ changed: [], needsRestart: [] }),
      ready: () => ({
        ...{ version: '0.1.0', peerId: 'p', addrs: [], http: url, apiKey: 'sk-pnv-owner' },
        ...{ models: [], roles: [], dataDir, ms: 1 },
      }),
    }
    const io = stage()
    const input = parseCommandLine(chat, ['--data-dir', dataDir], io.env)
    const create = async (given: Config) => {
      config = given
      return peer
    }
    const task = async (client: HttpClient) => {
      said.push(client.url)
      throw new Error('the task failed')
    }
    await expect(withPeer(input, io, task, create)).rejects.toThrow('the task failed')
    expect(said).toEqual(['start', url, 'stop'])
    expect(config?.http).toEqual({ host: '127.0.0.1', port: 0 })
    expect(config?.listen).toEqual(['/ip4/127.0.0.1/tcp/0'])
    expect(io.stderr.text).toBe(`No peer is running on ${dataDir}: starting one for this chat.\n`)
  })
})
