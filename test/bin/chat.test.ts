import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { chat } from '../../bin/chat.ts'
import { type ChatPeer, withPeer } from '../../bin/chat-peer.ts'
import { parseCommandLine } from '../../bin/command.ts'
import type { Config, Peer } from '../../src/index.ts'
import { chatPath, chunk, counting, end, head, messagesOf, ready } from './chat-answers.ts'
import {
  type Answer,
  fakePeer,
  json,
  offers,
  peerState,
  stage,
  temporaryFolder,
  wholePeer,
} from './stage.ts'

describe('chat from a pipe', () => {
  it('takes each line as a question with --lines, and remembers', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage()
    io.stdin.end('Hello!\n\nAgain\n')
    const numbers = ['--temperature', '0', '--max-tokens', '7', '--seed', '3']
    const options = ['--lines', '--system', 'Be brief.', ...numbers]
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
      seed: 3,
    })
    expect(asked.at(-1)?.authorization).toBe('Bearer sk-pnv-owner')
  })

  it('asks all that comes as one question, behind the prompt', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const questionOf = async (input: string | Buffer, ...args: string[]) => {
      const io = stage()
      io.stdin.end(input)
      expect(await io.run('chat', ...args, '--data-dir', dataDir), io.stderr.text).toBe(0)
      expect([io.stdout.text, io.stderr.text]).toEqual(['I was sent 1 messages.\n', ''])
      return messagesOf(asked.at(-1))
    }
    const user = (content: string) => [{ role: 'user', content }]
    expect(await questionOf('one\n\n/two \\\n"""\n')).toEqual(user('one\n\n/two \\\n"""'))
    expect(await questionOf('', 'some-alias', 'What', 'is it?')).toEqual(user('What is it?'))
    expect(await questionOf('a\nb\n', 'any', 'Sum up:')).toEqual(user('Sum up:\n\na\nb'))
  })

  it('says what it waits for when stdin stays open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const io = stage()
    const done = io.run('chat', 'any', 'Hi', '--data-dir', temporaryFolder())
    vi.advanceTimersByTime(3000)
    expect(io.stderr.text).toMatch(/Waiting for the end of stdin.* --once reads nothing\.\n$/)
    io.interrupt()
    expect(await done).toBe(1)
  })

  it('asks the prompt alone at a terminal', async () => {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: counting })
    const io = stage({ tty: true, env: { TERM: 'dumb' } })
    expect(await io.run('chat', 'any', 'Hi', '--data-dir', dataDir)).toBe(0)
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Hi' }])
  })

  it.each([
    ['nothing', '\n', [], /nothing to ask/],
    ['no text', Buffer.from([0xff, 0xfe]), [], /no text in UTF-8/],
    ['two questions', '', ['any', 'Hi', '--once', 'Ho'], /either with --once or behind/],
    ['a question and lines', '', ['any', 'Hi', '--lines'], /come from stdin, and none behind/],
    ['a seed of letters', '', ['--seed', 'x'], /--seed: expected a whole number/],
  ])('is used wrongly with %s', async (_name, input, args, text) => {
    const io = stage()
    io.stdin.end(input)
    expect(await io.run('chat', ...args, '--data-dir', '/nowhere/at/all')).toBe(2)
    expect(io.stderr.text).toMatch(text)
  })

  it('prints JSON lines: the pieces of each answer, and the whole with its receipt', async () => {
    const receipt = { cid: 'ryv1:sha256:00', status: 'final', prompt_nonce: '00' }
    const receipted: Answer = (asked, response) => {
      head(response)
      const { length } = (asked.body as { messages: unknown[] }).messages
      const last = { request_id: 'req_1', choices: [{ delta: {}, finish_reason: 'stop' }], receipt }
      const pieces = chunk('I was sent ') + chunk(`${length} messages.`)
      response.end(`${pieces}data: ${JSON.stringify(last)}\n\n${end}`)
    }
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: receipted })
    const io = stage()
    io.stdin.end('Hello!\nAgain')
    expect(await io.run('chat', 'some-alias', '--lines', '--json', '--data-dir', dataDir)).toBe(0)
    const lines = io.stdout.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.slice(0, 3)).toEqual([
      { event: 'token', text: 'I was sent ' },
      { event: 'token', text: '1 messages.' },
      {
        event: 'done',
        model: 'some-alias',
        question: 'Hello!',
        answer: 'I was sent 1 messages.',
        finish_reason: 'stop',
        usage: { total_tokens: 9 },
        request_id: 'req_1',
        receipt,
      },
    ])
    expect(lines.at(-1).answer).toBe('I was sent 3 messages.')
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
    expect(await io.run('chat', 'any', '--lines', '--data-dir', dataDir)).toBe(1)
    expect(asked.filter(({ path }) => path === '/v1/chat/completions')).toHaveLength(1)
  })

  it('stops an answer that nobody reads', async () => {
    let vanished: () => void = () => {}
    const clientLeft = new Promise<void>((resolve) => {
      vanished = resolve
    })
    const endless: Answer = (_asked, response) => {
      head(response)
      response.on('close', vanished)
      response.write(chunk('so far'))
    }
    const { dataDir } = await fakePeer({ ...ready, [chatPath]: endless })
    const io = stage()
    Object.assign(io.stdout, { errored: new Error('EPIPE') })
    expect(await io.run('chat', '--once', 'Hi', '--data-dir', dataDir)).toBe(1)
    await clientLeft
    expect(io.stderr.text).toBe('')
  })

  it('names the model that was meant', async () => {
    const gone = { error: { message: 'No such model.', code: 'model_not_found' } }
    const { dataDir } = await fakePeer({
      ...wholePeer,
      'GET /v1/models/phi-3': json(gone, 404),
      'GET /v1/models/what%20is%20it': json(gone, 404),
      'GET /v1/models/nomic': json({ id: 'nomic', kind: 'embedding' }),
    })
    const said = async (model: string) => {
      const io = stage()
      expect(await io.run('chat', model, '--once', 'Hi', '--data-dir', dataDir)).toBe(1)
      return io.stderr.text
    }
    expect(await said('phi-3')).toMatch(/no model "phi-3"\. Did you mean phi-4\?/)
    expect(await said('what is it')).toMatch(/knows pinaivu-demo, phi-4\. A question goes behind/)
    expect(await said('nomic')).toMatch(/nomic makes embeddings, and cannot chat/)
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
    expect(await io.run('chat', '--lines', '--data-dir', dataDir)).toBe(1)
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
    const task = async ({ client }: ChatPeer) => {
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
