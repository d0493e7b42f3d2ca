import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerHash } from '../../src/receipts/answer-hash.ts'
import type { Work } from '../../src/wire/job.ts'

const chat: Work = {
  kind: 'chat',
  messages: [{ role: 'user', content: 'hello' }],
  sampling: {
    ...{ temperature: 0, topP: 1, seed: 7, choices: 1, stop: [] },
    ...{ presencePenalty: 0, frequencyPenalty: 0, logitBias: [] },
  },
}

const pieces = fc.array(
  fc.record({ tokens: fc.integer({ min: 1, max: 4 }), text: fc.string({ unit: 'binary' }) }),
  { maxLength: 40 },
)

describe('the beginning of an answer', () => {
  it('has the hash of its text, salted or not', () => {
    fc.assert(
      fc.property(pieces, fc.boolean(), fc.nat(), (all, isSalted, at) => {
        const nonce = isSalted ? new Uint8Array(32).fill(1) : new Uint8Array()
        const hash = new AnswerHash(chat, nonce)
        const beginning = new AnswerHash(chat, nonce)
        const cut = at % (all.length + 1)
        let end = 0
        for (const [index, { tokens, text }] of all.entries()) {
          const piece = { choice: 0, ids: Array(tokens).fill(0), text }
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
})
