import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatTurn } from '../../../src/accounts/sessions/session-record.ts'
import { keptTurns, messagesOf, newerHalf } from '../../../src/accounts/sessions/trim.ts'

/** Of four bytes a token, as most text has. */
function turn(n: number, bytes: number): ChatTurn {
  const content = String(n).padEnd(bytes / 2, 'x')
  const times = { createdAt: 0 }
  return {
    user: { id: `msg_${n}`, content, clientRequestId: null, ...times },
    assistant: {
      ...{ id: `msg_${n}a`, content, status: 'completed', ...times },
      ...{ inputTokens: (n * bytes + bytes / 2) / 4, outputTokens: bytes / 8 },
    },
    promptBytes: n * bytes + bytes / 2,
  }
}

async function kept(
  turns: ChatTurn[],
  contextLength: number | undefined,
  { maxTokens, message = 'hi', instructions = null as string | null } = {} as {
    maxTokens?: number
    message?: string
    instructions?: string | null
  },
) {
  const read = { turns: 0 }
  async function* newestFirst() {
    for (const each of turns.toReversed()) {
      read.turns++
      yield each
    }
  }
  const said = { instructions, message }
  const some = await keptTurns(newestFirst(), said, { contextLength, maxTokens })
  return { some, read: read.turns }
}

const history = (count: number, bytes = 400) =>
  Array.from({ length: count }, (_, n) => turn(n, bytes))

describe('what a model is given of a long conversation', () => {
  it('is all of it while there is room', async () => {
    const turns = history(5)
    expect((await kept(turns, 4096)).some).toEqual(turns)
  })

  it('is its newest turns, and no more of it is read than that', async () => {
    const turns = history(100)
    const { some, read } = await kept(turns, 2048)
    expect(some.length).toBeGreaterThan(9)
    expect(some).toEqual(turns.slice(-some.length))
    expect(read).toBe(some.length + 1)
  })

  it('leaves as much for the answer as was asked for', async () => {
    const turns = history(100)
    const short = await kept(turns, 2048, { maxTokens: 10 })
    const long = await kept(turns, 2048, { maxTokens: 1_000_000 })
    expect(short.some.length).toBeGreaterThan((await kept(turns, 2048)).some.length)
    expect(long.some.length).toBeLessThan((await kept(turns, 2048)).some.length)
    expect(long.some.length).toBeGreaterThan(4)
  })

  it('leaves room for the instructions and the new message', async () => {
    const turns = history(100)
    const message = 'x'.repeat(2000)
    const without = (await kept(turns, 2048)).some.length
    expect((await kept(turns, 2048, { message })).some.length).toBeLessThan(without)
    expect((await kept(turns, 2048, { instructions: message })).some.length).toBeLessThan(without)
    expect((await kept(turns, 2048, { message: 'x'.repeat(100_000) })).some).toEqual([])
  })

  it('is whole turns in their order, behind the instructions, before the message', async () => {
    const turns = history(2, 4)
    const said = { instructions: 'Be brief.', message: 'And now?' }
    expect(messagesOf(turns, said)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: '0x' },
      { role: 'assistant', content: '0x' },
      { role: 'user', content: '1x' },
      { role: 'assistant', content: '1x' },
      { role: 'user', content: 'And now?' },
    ])
    expect(messagesOf([], { ...said, instructions: null })).toHaveLength(1)
  })

  it('ends, when a model finds it too long again and again', () => {
    let turns: readonly ChatTurn[] = history(100)
    let times = 0
    for (; turns.length > 0; times++) {
      const fewer = newerHalf(turns)
      expect(fewer).toEqual(turns.slice(turns.length - fewer.length))
      turns = fewer
    }
    expect(times).toBeLessThan(9)
  })

  it('fits, by its own measure, whatever was said', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 40 })
    const property = fc.asyncProperty(
      lengths,
      fc.integer({ min: 256, max: 8192 }),
      async (sizes, contextLength) => {
        const turns = sizes.map((size, n) => turn(n, 2 * size))
        const { some } = await kept(turns, contextLength)
        expect(some).toEqual(turns.slice(turns.length - some.length))
        const bytes = some.reduce((sum, { user }) => sum + 2 * user.content.length, 0)
        expect(bytes / 4).toBeLessThan((contextLength * 3) / 4)
      },
    )
    await fc.assert(property)
  })

  it('is bounded where nobody knows the model, and nothing was counted', async () => {
    const turns = history(3000, 2).map((each) => ({
      ...each,
      assistant: { ...each.assistant, inputTokens: 0, outputTokens: 0 },
    }))
    expect((await kept(turns, undefined)).some.length).toBe(2000)
  })
})
