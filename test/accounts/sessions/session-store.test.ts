import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatSession, ChatTurn } from '../../../src/accounts/sessions/session-record.ts'
import {
  type NewTurn,
  type Reply,
  SessionStore,
  type SessionStoreOptions,
} from '../../../src/accounts/sessions/session-store.ts'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { openStoreOn } from '../../../src/storage/store.ts'
import { StubBackend } from '../../storage/stub-backend.ts'

async function setUp(options: Partial<SessionStoreOptions> = {}) {
  const backend = new StubBackend()
  let now = 1_800_000_000_000
  const clock: Clock = { ...systemClock, now: () => now++ }
  const open = async () => {
    const store = await openStoreOn(backend, { logger: silentLogger })
    return { store, sessions: new SessionStore({ store, clock, random: systemRandom }, options) }
  }
  return { backend, open, ...(await open()) }
}

const asked = (more: Partial<NewTurn> = {}): NewTurn => ({
  ...{ account: 'ann', sessionId: undefined, model: 'm', message: 'Hello' },
  ...{ instructions: undefined, clientRequestId: undefined },
  ...more,
})
const reply: Reply = {
  ...{ content: 'Hi.', status: 'completed' },
  ...{ inputTokens: 5, outputTokens: 2, promptBytes: 5 },
}

async function speak(sessions: SessionStore, more: Partial<NewTurn> = {}) {
  const turn = await sessions.begin(asked(more))
  try {
    return (await turn.save(reply)).session
  } finally {
    turn.leave()
  }
}

async function turnsOf(sessions: SessionStore, session: ChatSession): Promise<ChatTurn[]> {
  const turns: ChatTurn[] = []
  for await (const turn of sessions.turns(session, session.turns)) turns.unshift(turn)
  return turns
}

async function all(sessions: SessionStore, account: string): Promise<ChatSession[]> {
  const list: ChatSession[] = []
  for await (const session of sessions.list(account, {})) list.push(session)
  return list
}

describe('a session', () => {
  it('begins with its first turn, and goes on after a restart', async () => {
    const { sessions, store, open } = await setUp()
    const first = await speak(sessions, { instructions: 'Be brief.', clientRequestId: 'r' })
    expect(first).toMatchObject({
      ...{ account: 'ann', model: 'm', title: 'Hello', instructions: 'Be brief.' },
      ...{ turns: 1, bytes: 8 },
    })
    await store.close()
    const again = (await open()).sessions
    expect(await again.get('ann', first.id)).toEqual(first)
    const second = await speak(again, { sessionId: first.id, message: 'More' })
    expect(second).toMatchObject({ turns: 2, bytes: 15, title: 'Hello', instructions: 'Be brief.' })
    expect(await turnsOf(again, second)).toMatchObject([
      { user: { content: 'Hello', clientRequestId: 'r' }, assistant: { content: 'Hi.' } },
      { user: { content: 'More', clientRequestId: null }, assistant: { status: 'completed' } },
    ])
    const third = await speak(again, { sessionId: first.id, instructions: 'Be long.' })
    expect(third.instructions).toBe('Be long.')
  })

  it('is not there before its first turn is over, nor if that fails', async () => {
    const { sessions } = await setUp()
    const turn = await sessions.begin(asked())
    expect(await sessions.get('ann', turn.session.id)).toBeUndefined()
    turn.leave()
    expect(await all(sessions, 'ann')).toEqual([])
    const sessionId = turn.session.id
    await expect(sessions.begin(asked({ sessionId }))).rejects.toMatchObject({
      code: 'chat_session_conflict',
    })
  })

  it('of another account, another model or nowhere is refused in the same words', async () => {
    const { sessions } = await setUp()
    const { id } = await speak(sessions)
    const tries: Partial<NewTurn>[] = [
      { sessionId: id, account: 'bob' },
      { sessionId: id, model: 'other' },
      { sessionId: `sess_${'0'.repeat(26)}` },
      { sessionId: 'x' },
      { sessionId: '' },
      { sessionId: '\ud800' },
      { sessionId: `${id}/00000000` },
    ]
    const errors = await Promise.all(
      tries.map((each) => sessions.begin(asked(each)).catch((error: unknown) => error)),
    )
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'chat_session_conflict' })
      expect((error as Error).message).toBe((errors[0] as Error).message)
    }
  })

  it('takes one turn at a time, and the next when that is over', async () => {
    const { sessions } = await setUp()
    const { id: sessionId } = await speak(sessions)
    const one = await sessions.begin(asked({ sessionId }))
    await expect(sessions.begin(asked({ sessionId }))).rejects.toMatchObject({
      code: 'chat_session_busy',
    })
    // Somebody else's word for the same id is no business of this one.
    await expect(sessions.begin(asked({ sessionId, account: 'bob' }))).rejects.toMatchObject({
      code: 'chat_session_conflict',
    })
    one.leave()
    const both = await Promise.allSettled([
      sessions.begin(asked({ sessionId })),
      sessions.begin(asked({ sessionId })),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('that is renamed in the middle of a turn keeps its name', async () => {
    const { sessions } = await setUp()
    const { id: sessionId } = await speak(sessions)
    const turn = await sessions.begin(asked({ sessionId }))
    await sessions.rename('ann', sessionId, ' Eggs ')
    await turn.save(reply)
    expect(await sessions.get('ann', sessionId)).toMatchObject({ title: 'Eggs', turns: 2 })
    await expect(sessions.rename('bob', sessionId, 'Mine')).rejects.toMatchObject({
      code: 'chat_session_not_found',
    })
  })

  it('that is deleted in the middle of a turn stays deleted', async () => {
    const { sessions, backend } = await setUp()
    const { id: sessionId } = await speak(sessions)
    const turn = await sessions.begin(asked({ sessionId }))
    const saving = [sessions.delete('ann', sessionId), turn.save(reply)]
    await Promise.all(saving)
    expect(await sessions.get('ann', sessionId)).toBeUndefined()
    await expect(sessions.delete('ann', sessionId)).rejects.toMatchObject({
      code: 'chat_session_not_found',
    })
    expect(await rowsIn(backend)).toBe(0)
  })
})

describe('limits', () => {
  it('are of sessions, of what is said in them, and of turns', async () => {
    const full = { code: 'chat_quota_exceeded' }
    const { sessions, store, open } = await setUp({ sessionsMax: 2, turnsMax: 2, bytesMax: 1000 })
    const { id } = await speak(sessions)
    await speak(sessions)
    await expect(sessions.begin(asked())).rejects.toMatchObject(full)
    await speak(sessions, { account: 'bob' })
    await speak(sessions, { sessionId: id })
    await expect(sessions.begin(asked({ sessionId: id }))).rejects.toMatchObject(full)
    await store.close()
    const again = (await open()).sessions
    await expect(again.begin(asked())).rejects.toMatchObject(full)
    await again.delete('ann', id)
    const large = await speak(again, { message: 'x'.repeat(1000) })
    await expect(again.begin(asked({ sessionId: large.id }))).rejects.toMatchObject(full)
    await again.delete('ann', large.id)
    await speak(again)
  })
})

/** Without those of the store itself. */
async function rowsIn(backend: StubBackend): Promise<number> {
  let rows = 0
  const range = { gte: Buffer.from([4]), lt: Uint8Array.of(255), reverse: false, limit: 1e9 }
  for await (const [key] of backend.range(range)) {
    if (Buffer.from(key).toString('latin1').includes('sessions')) rows++
  }
  return rows
}

type Step =
  | { do: 'begin'; account: string; which: number; length: number }
  | { do: 'end'; which: number; cancelled: boolean }
  | { do: 'leave'; which: number }
  | { do: 'rename' | 'delete'; account: string; which: number }
  | { do: 'crash'; written: boolean }

const account = fc.constantFrom('ann', 'bob')
const which = fc.nat(5)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('begin' as const), account, which, length: fc.nat(50) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('end' as const), which, cancelled: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('rename' as const, 'delete' as const),
      account,
      which,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), written: fc.boolean() }) },
)

interface Expected {
  account: string
  title: string
  said: string[]
}

describe('whatever is said, deleted and renamed, and whenever the peer goes down', () => {
  it('a session is as before a turn or after it, and nothing is left of what is deleted', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const set = await setUp()
      let { sessions, store } = set
      const expected = new Map<string, Expected>()
      let open: { turn: Awaited<ReturnType<SessionStore['begin']>>; message: string }[] = []
      let count = 0
      const ofAccount = (name: string, nth: number) => {
        const own = [...expected].filter(([, each]) => each.account === name)
        return own[nth % Math.max(1, own.length + 1)]?.[0]
      }
      const note = (turn: (typeof open)[0]['turn'], message: string) => {
        const { id, account: name, turns } = turn.session
        const known = expected.get(id)
        // Deleted meanwhile.
        if (known === undefined && turns > 0) return
        const said = [...(known?.said ?? []), message]
        expected.set(id, { account: name, title: known?.title ?? message, said })
      }
      for (const each of steps) {
        if (each.do === 'begin') {
          const sessionId = ofAccount(each.account, each.which)
          const message = `${count++} ${'x'.repeat(each.length)}`.trim()
          const isBusy = open.some(({ turn }) => turn.session.id === sessionId)
          const begun = sessions.begin(asked({ account: each.account, sessionId, message }))
          if (isBusy) await expect(begun).rejects.toMatchObject({ code: 'chat_session_busy' })
          else open.push({ turn: await begun, message })
        } else if (each.do === 'end' || each.do === 'leave') {
          const [one] = open.splice(each.which % Math.max(1, open.length), 1)
          if (one === undefined) continue
          if (each.do === 'end') {
            const status = each.cancelled ? 'cancelled' : 'completed'
            await one.turn.save({ ...reply, status })
            note(one.turn, one.message)
          }
          one.turn.leave()
        } else if (each.do === 'crash') {
          // In the middle of writing a turn down, if there is one.
          const [one] = open
          if (one !== undefined) {
            set.backend.failNext = { error: new Error('down'), rowsWritten: each.written }
            const isThere = expected.has(one.turn.session.id) || one.turn.session.turns === 0
            await one.turn.save(reply).catch(() => {})
            if (each.written && isThere) note(one.turn, one.message)
            set.backend.failNext = undefined
          }
          await store.close()
          ;({ sessions, store } = await set.open())
          open = []
        } else {
          const id = ofAccount(each.account, each.which)
          if (id === undefined) continue
          if (each.do === 'delete') {
            await sessions.delete(each.account, id)
            expected.delete(id)
          } else {
            await sessions.rename(each.account, id, `name ${count}`)
            ;(expected.get(id) as Expected).title = `name ${count}`
          }
        }
      }
      await compare(sessions, expected)
      const rows = [...expected.values()].reduce((sum, { said }) => sum + 1 + said.length, 0)
      expect(await rowsIn(set.backend)).toBe(rows)
    })
    await fc.assert(property)
  })
})

async function compare(sessions: SessionStore, expected: Map<string, Expected>) {
  for (const name of ['ann', 'bob']) {
    const own = [...expected].filter(([, each]) => each.account === name)
    const found = await all(sessions, name)
    expect(found.map(({ id }) => id)).toEqual(own.map(([id]) => id).sort())
    for (const session of found) {
      const { title, said } = expected.get(session.id) as Expected
      const turns = await turnsOf(sessions, session)
      expect(session.title).toBe(title)
      expect(turns.map(({ user }) => user.content)).toEqual(said)
      expect(session.turns).toBe(said.length)
      const bytes = turns.reduce((sum, { user }) => sum + user.content.length + 3, 0)
      expect(session.bytes).toBe(bytes)
    }
  }
}
