import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerCheck } from '../../src/market/remote/answer-check.ts'
import { canonicalJson } from '../../src/wire/canonical-json.ts'
import type { CallPlace, Chunk, Tokens } from '../../src/wire/chunk.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { ChatWork } from '../../src/wire/job.ts'
import { sha256 } from '../../src/wire/sha256.ts'
import { bothEnds } from './both-ends-stage.ts'
import { chat, frames, honest, jobOf, type Script, stage } from './coordinator-stage.ts'

const functions = [{ name: 'look_up' }, { name: 'end' }]

const asking = (more: Partial<ChatWork> = {}): ChatWork => ({
  ...(chat() as ChatWork),
  functions,
  ...more,
})

const place = (index: number, more: Partial<CallPlace> = {}): CallPlace => ({
  ...{ index, id: `call_${index}`, name: 'look_up' },
  ...more,
})

type TokensFrame = Extract<FromProvider, { type: 'tokens' }>

const piece = (first: number, text: string, { index, id, name }: CallPlace): TokensFrame => ({
  ...(frames.tokens(first, [text]) as TokensFrame),
  channel: 'tool',
  tool: { index, name, callId: id },
})

const end = (outputTokens: number, finish: 'stop' | 'length' | 'tool_calls' = 'tool_calls') =>
  frames.done(outputTokens, { finish: [finish] })

const hashOf = (text: string): Uint8Array => sha256(new TextEncoder().encode(text))

const capable = ['chat', 'tools', 'json']

describe('calls over the wire', () => {
  /** What is said and called, each in pieces of some tokens. */
  const answers = fc.array(
    fc.record({
      isNext: fc.boolean(),
      isText: fc.boolean(),
      text: fc.string({ unit: 'binary', maxLength: 30 }),
      tokens: fc.integer({ min: 1, max: 20 }),
    }),
    { minLength: 1, maxLength: 12 },
  )

  it('are the same at both ends, with the hash of the whole, however they are cut', async () => {
    const all = await bothEnds()
    const { collect, theirEngine, models, list, theirs, faults, clock, proof, peerId } = all
    list(theirs, { model: { name: 'theirs', id: models.chat, capabilities: capable } })
    await fc.assert(
      fc.asyncProperty(answers, async (pieces) => {
        const sent: Tokens[] = []
        let index = 0
        let call = -1
        for (const { isNext, isText, text, tokens } of pieces) {
          if (!isText && (isNext || call < 0)) call++
          const ids = Array.from({ length: tokens }, () => 0)
          const where = isText ? {} : { call: place(call) }
          sent.push({ type: 'tokens', choice: 0, index, ids, text, ...where })
          index += tokens
        }
        theirEngine.script = async function* (): AsyncGenerator<Chunk> {
          yield { type: 'accepted', inputTokens: 5 }
          yield* sent
          const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: index }
          yield { type: 'done', finish: [call < 0 ? 'stop' : 'tool_calls'], usage }
        }
        const sampling = { ...asking().sampling, maxTokens: 400 }
        const wait = collect({ model: 'theirs', work: asking({ sampling }) })
        await clock.advance(100)
        const { chunks, done } = await wait
        const came = chunks.filter((chunk) => chunk.type === 'tokens')
        expect(choiceOf(came)).toEqual(choiceOf(sent))
        expect(done.usage.outputTokens).toBe(index)
        const { content, tool_calls } = choiceOf(sent)
        const whole = canonicalJson([{ content, reasoning_content: '', tool_calls }])
        expect(theirEngine.jobs.at(-1)?.work).toMatchObject({ functions })
        expect(done.receipt).toMatchObject({ status: 'final', nodeId: peerId })
        const found = await proof.receipts.find(done.receipt?.cid ?? '')
        expect(found?.receipt?.resultHash).toEqual(hashOf(call < 0 ? content : whole))
      }),
      { numRuns: 40 },
    )
    expect(faults()).toEqual([])
  })

  it.each<[what: string, all: TokensFrame[], finish: 'stop' | 'tool_calls', work?: ChatWork]>([
    ['of what nobody offered', [piece(0, '', place(0, { name: 'rm' }))], 'tool_calls'],
    ['of who was offered nothing', [piece(0, '', place(0))], 'tool_calls', chat() as ChatWork],
    [
      'of who must not call',
      [piece(0, '', place(0))],
      'tool_calls',
      asking({ calling: { mode: 'none' } }),
    ],
    [
      'of another than was wanted',
      [piece(0, '', place(0))],
      'tool_calls',
      asking({ calling: { mode: 'required', name: 'end' } }),
    ],
    ['of two, where one was wanted', both(), 'tool_calls', asking({ oneCall: true })],
    ['without an id', [piece(0, '', place(0, { id: '' }))], 'tool_calls'],
    ['of one id', [piece(0, '', place(0)), piece(1, '', place(1, { id: 'call_0' }))], 'tool_calls'],
    ['of number 1 before 0', [piece(0, '', place(1))], 'tool_calls'],
    ['of number 10^9', [piece(0, '', place(1e9))], 'tool_calls'],
    ['behind the next', [...both(), piece(2, '', place(0))], 'tool_calls'],
    [
      'with a name that changes',
      [...both(), piece(2, '', place(1, { name: 'end' }))],
      'tool_calls',
    ],
    ['with an id that changes', [...both(), piece(2, '', place(1, { id: 'b' }))], 'tool_calls'],
    ['with more text than tokens', [piece(0, 'x'.repeat(1_025), place(0))], 'tool_calls'],
    ['that end as text', both(), 'stop'],
    ['that are text', [frames.tokens(0, ['a']) as TokensFrame], 'tool_calls'],
  ])('are a lie: %s', (_what, all, finish, work = asking()) => {
    const check = new AnswerCheck({ work, contextLength: 512, embeddingLength: 0 })
    const lie = expect.objectContaining({ code: 'provider_misbehaved', action: 'penalise' })
    const last = end(all.length, finish) as Extract<FromProvider, { type: 'done' }>
    expect(() => {
      for (const frame of all) check.tokens(frame)
      check.done(last)
    }).toThrow(lie)
  })

  it('may leave out in later frames what the first one has said', () => {
    const check = new AnswerCheck({ work: asking(), contextLength: 512, embeddingLength: 0 })
    check.tokens(piece(0, '{', place(0)))
    const bare = { index: 0, id: '', name: '' }
    expect(check.tokens(piece(1, '}', bare))).toMatchObject({ call: place(0), text: '}' })
    const last = end(2) as Extract<FromProvider, { type: 'done' }>
    expect(check.done(last).finish).toEqual(['tool_calls'])
    expect(check.done({ ...last, finish: ['length'] }).finish).toEqual(['length'])
  })
})

const said = (text: string, at = 0) => frames.tokens(at, [text])
const work = asking()

describe('who is asked for calls', () => {
  it('is who can make them', async () => {
    const { provider, collect } = await stage()
    const unable = await provider({ model: { capabilities: ['chat', 'json'] } })
    const able = await provider({ model: { capabilities: capable } })
    for (let at = 0; at < 4; at++) expect((await collect({ work })).text).toBe('Hello world')
    expect([unable.lines.length, able.lines.length]).toEqual([0, 4])
  })

  it('is this machine, where its model can', async () => {
    const { collect, engine, proof, provider } = await stage()
    const { lines } = await provider({ model: { name: 'test-chat', capabilities: capable } })
    const [own] = engine.status()
    if (own !== undefined) own.capabilities = capable
    engine.script = async function* (): AsyncGenerator<Chunk> {
      yield { type: 'accepted', inputTokens: 5 }
      yield { type: 'tokens', choice: 0, index: 0, ids: [0, 0], text: '{}', call: place(0) }
      const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: 2 }
      yield { type: 'done', finish: ['tool_calls'], usage }
    }
    const { done, chunks } = await collect({ model: 'test-chat', work })
    expect(chunks.filter(({ type }) => type === 'tokens')).toMatchObject([{ call: place(0) }])
    const calls = [{ name: 'look_up', arguments: '{}' }]
    const whole = [{ content: '', reasoning_content: '', tool_calls: calls }]
    const found = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(found?.receipt).toMatchObject({
      resultHash: hashOf(canonicalJson(whole)),
      meteringUnits: 7,
    })
    expect(lines).toHaveLength(0)
  })

  it('is nobody where nobody can, and the client hears which models can', async () => {
    const { provider, collect, coordinator } = await stage()
    const { lines } = await provider({ model: { capabilities: ['chat'] } })
    const error = { code: 'unsupported_parameter', param: 'tools' }
    await expect(collect({ work })).rejects.toMatchObject(error)
    await expect(collect({ work })).rejects.toThrow(/Nor does any other/)
    await expect(collect({ model: 'test-chat', work })).rejects.toMatchObject(error)
    expect(lines).toHaveLength(0)
    await provider({ model: { name: 'other', id: 'cid:other', capabilities: capable } })
    await expect(collect({ work })).rejects.toThrow(/These can: other\./)
    expect(coordinator.resolve('other')?.capabilities).toEqual(capable)
    const format = { type: 'json' } as const
    const { functions: _none, ...plain } = work
    await expect(collect({ work: { ...plain, format } })).rejects.toMatchObject({
      param: 'response_format',
    })
  })

  it('is nobody for what is longer than a job may be', async () => {
    const { provider, collect } = await stage()
    const { lines } = await provider({ model: { capabilities: capable } })
    const parameters = JSON.stringify({ description: '"'.repeat(6 * 1024 * 1024) })
    await expect(
      collect({ work: asking({ functions: [{ name: 'f', parameters }] }) }),
    ).rejects.toMatchObject({ code: 'request_too_large', param: 'messages' })
    const calls = Array.from({ length: 128 }, (_, at) => {
      return { id: `call_${at}`, name: 'f', arguments: '{}' }
    })
    const messages = Array.from({ length: 80 }, () => {
      return { role: 'assistant' as const, content: '', calls }
    })
    await expect(collect({ work: asking({ messages }) })).rejects.toMatchObject({
      code: 'request_too_large',
    })
    expect(lines).toHaveLength(0)
  })

  it('is another, where one can’t after all', async () => {
    const { provider, collect } = await stage()
    const lying: Script = async (line) => {
      line.say({ ...frames.refuse('unsupported_parameter'), param: 'tools' } as FromProvider)
    }
    await provider({ model: { capabilities: capable }, script: lying })
    await expect(collect({ work })).rejects.toMatchObject({
      ...{ code: 'unsupported_parameter', param: 'tools' },
    })
    await provider({ model: { capabilities: capable }, script: honest })
    expect((await collect({ work })).text).toBe('Hello world')
  })

  it('is nobody else once a call is under way', async () => {
    const { provider, collect } = await stage()
    const model = { capabilities: capable }
    const broken: Script = async (line) => {
      line.say(frames.accept(), said('Wait'), piece(1, '{"a', place(0)))
      line.say(frames.failed('engine_failed'))
    }
    const one = await provider({ model, script: broken })
    const told = collect({ work })
    await expect(told).rejects.toMatchObject({ code: 'provider_failed' })
    await expect(told).rejects.toThrow(/failed before its end/)
    const before = await provider({ model, script: honest })
    expect([one.lines.length, before.lines.length]).toEqual([1, 0])
  })

  it('says how much of it arrived when it is cancelled', async () => {
    const { provider, coordinator, proof } = await stage()
    const heard = Promise.withResolvers<unknown>()
    await provider({
      model: { capabilities: capable },
      script: async (line) => {
        line.say(
          frames.accept(),
          said('Wait'),
          piece(1, '{"a', place(0)),
          piece(2, '":1}', place(0)),
        )
        heard.resolve(await line.hear())
        line.say(frames.done(3, { finish: ['cancelled'] }))
        while ((await line.hear()) !== undefined);
      },
    })
    const leaving = new AbortController()
    const chunks: Chunk[] = []
    for await (const chunk of coordinator.generate(jobOf({ work }), leaving)) {
      chunks.push(chunk)
      if (chunk.type === 'tokens' && chunk.text === '":1}') leaving.abort()
    }
    expect(await heard.promise).toEqual({ type: 'cancel', received: [3] })
    const { receipt } = chunks.at(-1) as Extract<Chunk, { type: 'done' }>
    const found = await proof.receipts.find(receipt?.cid ?? '')
    const calls = [{ name: 'look_up', arguments: '{"a":1}' }]
    const whole = [{ content: 'Wait', reasoning_content: '', tool_calls: calls }]
    expect(found?.receipt?.resultHash).toEqual(hashOf(canonicalJson(whole)))
  })
})

function both(): TokensFrame[] {
  return [piece(0, '', place(0)), piece(1, '', place(1))]
}

function choiceOf(tokens: readonly Tokens[]) {
  const calls: { name: string; arguments: string }[] = []
  let content = ''
  for (const { text, call } of tokens) {
    if (call === undefined) content += text
    else {
      const before = calls[call.index]?.arguments ?? ''
      calls[call.index] = { name: call.name, arguments: before + text }
    }
  }
  return { content, tool_calls: calls }
}
