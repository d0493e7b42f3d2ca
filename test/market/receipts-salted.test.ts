import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { vectorsHash } from '../../src/wire/result-hash.ts'
import { endless, vectorOf } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { chat, frames, stage } from './coordinator-stage.ts'

const wishes = { receiptPrivacy: 'salted' as const }

function hashOf(text: string, nonce = ''): Uint8Array {
  return new Uint8Array(createHash('sha256').update(nonce, 'hex').update(text).digest())
}

describe('whose answer is not to be guessed', () => {
  it.each(['test-chat', 'theirs'])('of %s, it is hashed behind the nonce', async (model) => {
    const { collect, clock, proof, theirProof, theirEngine, engine, faults } = await bothEnds()
    engine.script = theirEngine.script = async function* (job, signal) {
      let count = 0
      for await (const chunk of endless(job, signal)) {
        yield chunk
        if (chunk.type === 'tokens' && ++count === 70) break
      }
      const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: count }
      yield { type: 'done', finish: ['stop'], usage }
    }
    const answer = collect({ model, wishes, work: chat({ maxTokens: 500 }) })
    await clock.advance(100)
    const { text, done, chunks } = await answer
    await settled()
    const nonce = done.receipt?.promptNonce
    const view = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(view).toMatchObject({
      ...{ status: 'final', verified: true, receipt: { resultHash: hashOf(text, nonce) } },
      execution: { body: { privacy: 'salted' } },
      routing: { body: { privacy: 'salted', verdict: 'ok' } },
    })
    // Its beginning neither.
    expect(chunks.filter(({ type }) => type === 'segment').length).toBeGreaterThan(0)
    const logs = [...(await proof.bodies()), ...(await theirProof.bodies())]
    const plain = [text, text.slice(0, 'word0 '.length)].map((each) => hashOf(each).toString())
    const said = JSON.stringify(logs, (_, value) =>
      value instanceof Uint8Array ? value.toString() : value,
    )
    for (const hash of plain) expect(said).not.toContain(hash)
    expect(faults()).toEqual([])
  })

  it('vectors are hashed so as well', async () => {
    const { collect, proof } = await stage()
    const work = { kind: 'embedding' as const, inputs: ['a', 'b'] }
    const { done } = await collect({ model: 'test-embed', wishes, work })
    const nonce = Buffer.from(done.receipt?.promptNonce ?? '', 'hex')
    const resultHash = vectorsHash([vectorOf('a', 8), vectorOf('b', 8)], nonce)
    const view = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(view).toMatchObject({ receipt: { resultHash } })
  })

  it('a provider that does not do so is disputed', async () => {
    const { collect, provider, proof } = await stage()
    // Its record knows of no salt.
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['Hello']), frames.done(1))
        while ((await line.hear()) !== undefined);
      },
    })
    await collect({ wishes })
    expect(lines[0]?.job.receiptPrivacy).toBe('salted')
    const [routing] = await proof.bodies()
    expect(routing?.body).toMatchObject({ verdict: 'dispute', dispute: 'wrong_hash', amount: 0 })
  })

  it('of a lost provider, what came is not to be guessed either', async () => {
    const { collect, clock, provider, proof } = await stage()
    await provider({
      script: async (line) => line.say(frames.accept(), frames.tokens(0, ['Hello'])),
    })
    await expect(collect({ wishes })).rejects.toMatchObject({ code: 'provider_failed' })
    await clock.advance(0)
    const [routing] = await proof.bodies()
    if (routing?.kind !== 'routing') throw new Error('no routing')
    expect(routing.body).toMatchObject({ privacy: 'salted', dispute: 'broken' })
    expect(routing.body.whole?.resultHash).not.toEqual(hashOf('Hello'))
  })
})
