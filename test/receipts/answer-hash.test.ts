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
  it('has the same hash, asked for in passing or at the end, salted or not', () => {
    fc.assert(
      fc.property(pieces, fc.boolean(), fc.infiniteStream(fc.boolean()), (all, isSalted, asked) => {
        const hash = new AnswerHash(chat, isSalted ? new Uint8Array(32).fill(1) : new Uint8Array())
        let end = 0
        const behind: number[] = []
        for (const { tokens, text } of all) {
          hash.tokens({ choice: 0, ids: Array(tokens).fill(0), text })
          end += tokens
          behind.push(end)
          // Now and then, of all that was not asked for yet.
          if (!asked.next().value) continue
          for (const to of behind.splice(0)) expect(hash.digestTo(to)).toEqual(hash.digestOf([to]))
        }
        expect(hash.digestTo(end + 1)).toBeUndefined()
        if (end > 0) expect(hash.digestTo(end)).toEqual(hash.digest())
      }),
    )
  })

  it('is none within a piece', () => {
    const hash = new AnswerHash(chat)
    hash.tokens({ choice: 0, ids: [1, 2, 3], text: 'abc' })
    expect(hash.digestTo(2)).toBeUndefined()
    expect(hash.digestTo(3)).toEqual(hash.digest())
  })

  it('costs no more, however often it is asked for', () => {
    const [count, text] = [4_000, 'x'.repeat(1_000)]
    const hash = new AnswerHash(chat)
    for (let at = 0; at < count; at++) hash.tokens({ choice: 0, ids: [at], text })
    const { user } = process.cpuUsage()
    for (let end = 1; end <= count; end++) hash.digestTo(end)
    // Each anew would be eight gigabytes.
    expect((process.cpuUsage().user - user) / 1e6).toBeLessThan(4)
  })
})
