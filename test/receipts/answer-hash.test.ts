import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerHash } from '../../src/receipts/answer-hash.ts'
import { RESUME_BYTES_MAX } from '../../src/wire/generate-shape.ts'
import type { Work } from '../../src/wire/job.ts'

const chat: Work = {
  kind: 'chat',
  messages: [{ role: 'user', content: 'hello' }],
  sampling: {
    ...{ temperature: 0, topP: 1, seed: 7, choices: 1, stop: [] },
    ...{ presencePenalty: 0, frequencyPenalty: 0, logitBias: [] },
  },
}

const pieces = fc
  .array(
    fc.record({
      tokens: fc.integer({ min: 1, max: 4 }),
      text: fc.string({ unit: 'binary' }),
      // What is said, a part of the call before, or the first of another.
      kind: fc.constantFrom('text', 'text', 'text', 'text', 'call', 'next'),
    }),
    { maxLength: 40 },
  )
  .map((all) => {
    let index = -1
    return all.map(({ kind, ...piece }) => {
      if (kind === 'next' || (kind === 'call' && index < 0)) index++
      const call = kind === 'text' ? {} : { call: { index, id: `c${index}`, name: `f${index}` } }
      return { ...piece, ...call }
    })
  })

describe('the beginning of an answer', () => {
  it('has the hash of its text, salted or not', () => {
    fc.assert(
      fc.property(pieces, fc.boolean(), fc.nat(), (all, isSalted, at) => {
        const nonce = isSalted ? new Uint8Array(32).fill(1) : new Uint8Array()
        const hash = new AnswerHash(chat, nonce)
        const beginning = new AnswerHash(chat, nonce)
        const cut = at % (all.length + 1)
        let end = 0
        for (const [index, { tokens, ...said }] of all.entries()) {
          const piece = { choice: 0, ids: Array(tokens).fill(0), ...said }
          hash.tokens(piece)
          if (index >= cut) continue
          beginning.tokens(piece)
          end += tokens
        }
        expect(hash.digestOf([end])).toEqual(beginning.digest())
        expect(hash.digestOf([200])).toBeUndefined()
      }),
    )
  })

  it('is none within a piece', () => {
    const hash = new AnswerHash(chat)
    hash.tokens({ choice: 0, ids: [1, 2, 3], text: 'abc' })
    expect(hash.digestOf([2])).toBeUndefined()
    expect(hash.digestOf([3])).toEqual(hash.digest())
  })

  it('has no text that came behind its tokens alone', () => {
    const hash = new AnswerHash(chat)
    hash.tokens({ choice: 0, ids: [1, 2], text: 'ab' })
    const before = hash.digest()
    hash.tokens({ choice: 0, ids: [], text: 'held' })
    expect(hash.digestOf([2])).toEqual(before)
    expect(hash.digest()).not.toEqual(before)
  })
})

describe('what another goes on with', () => {
  it('is text and ids of each choice that has begun', () => {
    const hash = new AnswerHash({ ...chat, sampling: { ...chat.sampling, choices: 3 } })
    hash.tokens({ choice: 2, ids: [7], text: 'x' })
    hash.tokens({ choice: 0, ids: [1, 2], text: 'ab' })
    hash.tokens({ choice: 2, ids: [8], text: '' })
    const resumes = hash.resumes()
    expect(resumes).toEqual([
      { choice: 0, text: 'ab', ids: [1, 2] },
      { choice: 2, text: 'x', ids: [7, 8] },
    ])
    // Nothing that comes later is in it.
    hash.tokens({ choice: 0, ids: [3], text: 'c' })
    expect(resumes?.[0]?.ids).toEqual([1, 2])
  })

  it('is nothing where it is more than a job may carry', () => {
    const hash = new AnswerHash(chat)
    hash.tokens({ choice: 0, ids: [1], text: 'x'.repeat(RESUME_BYTES_MAX - 1) })
    expect(hash.resumes()).toHaveLength(1)
    hash.tokens({ choice: 0, ids: [2], text: '' })
    expect(hash.resumes()).toBeUndefined()
  })
})
