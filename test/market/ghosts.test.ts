import { describe, expect, it } from 'vitest'
import type { Chunk, Provisional, RolledBack } from '../../src/wire/chunk.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import { publicKeyOf } from '../../src/wire/peer-id.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { type Answer, chat, frames, honest, type Script, stage, two } from './coordinator-stage.ts'

const ghost = (index: number, texts: string[], drafter = 'model'): Provisional => ({
  type: 'provisional',
  choice: 0,
  index,
  ids: texts.map((_, at) => index + at),
  text: texts.join(''),
  drafter,
})
const rollback = (from: number, reason: RolledBack['reason'] = 'token_mismatch'): RolledBack => ({
  type: 'rollback',
  choice: 0,
  from,
  reason,
})
const tokens = (index: number, ...texts: string[]): Chunk => ({
  type: 'tokens',
  choice: 0,
  index,
  ids: texts.map((_, at) => index + at),
  text: texts.join(''),
})

const drafting = [
  { drafter: 'prompt', drafted: 2, accepted: 0, rolledBack: 2 },
  { drafter: 'model', drafted: 4, accepted: 1, rolledBack: 3 },
]

/** An answer as an engine writes it that guesses. */
const guessed: Chunk[] = [
  { type: 'accepted', inputTokens: 5 },
  ghost(0, ['too soon']),
  tokens(0, 'a'),
  ghost(1, ['b', 'x', 'y']),
  tokens(1, 'b'),
  rollback(2),
  tokens(2, 'c'),
  ghost(3, ['z'], 'prompt'),
  rollback(3, 'stop_sequence'),
  {
    type: 'done',
    finish: ['stop'],
    usage: { inputTokens: 5, cachedTokens: 0, outputTokens: 3 },
    drafting,
  },
]

async function* script() {
  yield* guessed
}

const isGhost = ({ type }: Chunk) => type === 'provisional' || type === 'rollback'
/** Without those that say more of the network than of the answer. */
const seen = ({ chunks }: Answer) =>
  chunks.filter((chunk) => isGhost(chunk) || chunk.type === 'tokens')

describe('guesses', () => {
  it('come to who watches, as they were made, and are in no hash, count or price', async () => {
    const { collect, theirEngine, peerId, proof, faults } = await bothEnds({
      price: { input: 0, output: 1_000 },
    })
    theirEngine.script = script
    const answer = await collect({ model: 'theirs', work: chat(), watched: true })
    const named = guessed.slice(2, -1).map((chunk) => {
      return chunk.type === 'provisional' ? { ...chunk, drafter: peerId } : chunk
    })
    expect(seen(answer)).toEqual(named)
    const counts = { drafted: 6, accepted: 1, rolledBack: 5 }
    expect(answer.done.drafting).toEqual([{ drafter: peerId, ...counts }])
    await settled()
    const bodies = await proof.bodies()
    const routing = bodies.flatMap((each) => (each.kind === 'routing' ? [each.body] : [])).at(-1)
    expect(routing).toMatchObject({ verdict: 'ok', amount: 3, tokens: { output: 3 } })
    const view = await proof.receipts.find(answer.done.receipt?.cid ?? '')
    expect(view).toMatchObject({ status: 'final', verified: true })
    expect(view?.execution?.body.drafting).toEqual([{ drafter: publicKeyOf(peerId), ...counts }])
    expect(faults()).toEqual([])
  })

  it('come to nobody else', async () => {
    const { collect, theirEngine, faults } = await bothEnds()
    theirEngine.script = script
    const answer = await collect({ model: 'theirs', work: chat() })
    expect(answer.chunks.some(isGhost)).toBe(false)
    expect(answer.text).toBe('abc')
    expect(answer.done.drafting).toMatchObject([{ drafted: 6 }])
    expect(theirEngine.jobs[0]?.watched).toBeUndefined()
    expect(faults()).toEqual([])
  })

  it('of this machine have its name', async () => {
    const { collect, engine, identity } = await stage()
    engine.script = script
    const answer = await collect({ model: 'test-chat', work: chat(), watched: true })
    const { peerId } = identity
    const named = answer.chunks.flatMap((each) => (each.type === 'provisional' ? each.drafter : []))
    expect(named).toEqual([peerId, peerId])
    expect(answer.done.drafting).toMatchObject([{ drafter: peerId, drafted: 6 }])
  })
})

const said = (first: number, more: object = {}): FromProvider => ({
  ...{ type: 'provisional', choice: 0, first, ids: [7], text: 'x', drafter: '' },
  ...more,
})

const goesOn: Script = async (line) => {
  line.say(frames.accept(), frames.tokens(1, [' world']), frames.done(1))
  while ((await line.hear()) !== undefined);
}

describe('a provider', () => {
  const hostile: [what: string, frame: FromProvider][] = [
    ['that guesses what is there', said(0)],
    ['that guesses far ahead', said(600)],
    ['that guesses nothing', said(1, { ids: [] })],
    ['that guesses for no choice', said(1, { choice: 3 })],
    ['whose drafter may not see the prompt', said(1, { drafter: `12D3Koo${'W'.repeat(45)}` })],
    ['that takes back what was said', { type: 'rollback', choice: 0, from: 0, reason: '' }],
    ['that commits for no choice', { type: 'commit', choice: 3, until: 1 }],
  ]
  it.each(hostile)('%s breaks the protocol, and another goes on', async (_, frame) => {
    const { collect, good, faults } = await two(async (line) => {
      line.say(frames.accept(), frames.progress(), frames.tokens(0, ['Hello']), frame)
    })
    good.script = goesOn
    const answer = await collect({ watched: true })
    expect(answer.text).toBe('Hello world')
    expect(seen(answer)[1]).toEqual(rollback(1, 'node_lost'))
    expect(faults()).toMatchObject([{ action: 'penalise' }])
  })

  it('that shows guesses nobody asked for breaks the protocol', async () => {
    const { collect, faults } = await two(async (line) => {
      line.say(frames.accept(), frames.progress(), said(0))
    })
    expect((await collect()).text).toBe('Hello world')
    expect(faults()).toMatchObject([{ action: 'penalise' }])
  })

  const storm =
    (count: number): Script =>
    async (line) => {
      line.say(frames.accept(), frames.progress(), frames.tokens(0, ['Hello']))
      for (let n = 0; n < count; n++) line.say(said(1, { ids: [1, 2, 3, 4, 5, 6, 7, 8] }))
      line.say(frames.tokens(1, [' world']), frames.done(2))
      while ((await line.hear()) !== undefined);
    }

  it('that guesses again and again is shown up to a bound, and its answer stands', async () => {
    const { collect, faults } = await two(storm(1_000))
    const answer = await collect({ watched: true })
    expect(answer.text).toBe('Hello world')
    const shown = answer.chunks.flatMap((chunk) => (chunk.type === 'provisional' ? chunk.ids : []))
    expect(shown.length).toBeLessThanOrEqual(1_024 + 64)
    expect(shown.length).toBeGreaterThan(1_024)
    expect(faults()).toEqual([])
  })

  it('that guesses without end is left', async () => {
    const { collect, good, faults } = await two(storm(3_000))
    good.script = goesOn
    expect((await collect({ watched: true })).text).toBe('Hello world')
    expect(faults()).toMatchObject([{ action: 'penalise' }])
  })

  it('that counts more accepted drafts than it sent tokens breaks the protocol', async () => {
    const { collect, faults, bad, good } = await two(honest)
    bad.script = async (line) => {
      const counts = { drafter: bad.peerId, drafted: 3, accepted: 3, rolledBack: 0 }
      const done = { ...frames.done(1), drafting: [counts] } as FromProvider
      line.say(frames.accept(), frames.progress(), frames.tokens(0, ['Hello']), done)
    }
    good.script = goesOn
    expect((await collect({ watched: true })).text).toBe('Hello world')
    expect(faults()).toMatchObject([{ reason: expect.stringContaining('do not add up') }])
  })

  it('that names a drafter who may not see the prompt breaks the protocol', async () => {
    const { collect, faults, bad, good } = await two(honest)
    bad.script = async (line) => {
      const counts = { drafter: good.peerId, drafted: 1, accepted: 1, rolledBack: 0 }
      const done = { ...frames.done(1), drafting: [counts] } as FromProvider
      line.say(frames.accept(), frames.progress(), frames.tokens(0, ['Hello']), done)
    }
    good.script = goesOn
    expect((await collect()).text).toBe('Hello world')
    expect(faults()).toMatchObject([{ reason: expect.stringContaining('may not see') }])
  })

  it('that is lost with guesses on the screen has them taken back, of each choice', async () => {
    const { collect, good } = await two(async (line) => {
      line.say(frames.accept(), frames.progress())
      line.say(
        frames.tokens(0, ['a', 'b'], 0),
        frames.tokens(0, ['c'], 1),
        said(2),
        said(1, { choice: 1 }),
      )
      await settled()
      line.stream.reset(new Error('Gone.'))
    })
    good.script = async (line) => {
      line.say(frames.accept(), frames.tokens(2, ['d'], 0), frames.tokens(1, ['e'], 1))
      line.say(frames.done(2, { finish: ['stop', 'stop'] }))
      while ((await line.hear()) !== undefined);
    }
    const answer = await collect({ watched: true, work: chat({ choices: 2 }) })
    const rollbacks = answer.chunks.filter(({ type }) => type === 'rollback')
    expect(rollbacks).toEqual([
      { ...rollback(2, 'node_lost'), choice: 0 },
      { ...rollback(1, 'node_lost'), choice: 1 },
    ])
    const before = answer.chunks.indexOf(rollbacks[0] as Chunk)
    const after = answer.chunks.findIndex((chunk) => chunk.type === 'tokens' && chunk.index === 2)
    expect(before).toBeLessThan(after)
    expect(answer.done.resumed?.times).toBe(1)
  })

  it('of an older version shows none', async () => {
    const { collect, provider } = await stage()
    await provider({ script: honest })
    const answer = await collect({ watched: true })
    expect(answer.text).toBe('Hello world')
    expect(answer.chunks.some(isGhost)).toBe(false)
  })
})
