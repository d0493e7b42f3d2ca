import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { isId, newId } from '../../base/ids.ts'
import type { Random } from '../../base/random.ts'
import { Turns } from '../../base/turns.ts'
import { Underway } from '../../base/underway.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Range, Table } from '../../storage/table.ts'
import { Holdings } from '../holdings.ts'
import { ownKey, ownRange } from '../own-rows.ts'
import {
  bytesOf,
  type ChatSession,
  type ChatTurn,
  sessionRows,
  turnId,
  turnRows,
} from './session-record.ts'
import { checkedTitle, titleOf } from './title.ts'

export interface SessionStoreComponents {
  store: Store
  clock: Clock
  random: Random
}

const MIB = 1024 * 1024

export const defaultSessions = {
  /** Of one account: their count is read through once in the life of the process. */
  sessionsMax: 10_000,
  /** Of all that is said in them: years of talk. */
  bytesMax: 1024 * MIB,
  /** A session is deleted in one batch. */
  turnsMax: 5_000,
}

export type SessionStoreOptions = typeof defaultSessions

export interface NewTurn {
  account: string
  /** Undefined: a new session. */
  sessionId: string | undefined
  model: string
  message: string
  /** Undefined: as they were. */
  instructions: string | undefined
  clientRequestId: string | undefined
}

type Asked = NewTurn & { askedAt: number }

/** What came back of a turn. */
export interface Reply {
  content: string
  status: ChatTurn['assistant']['status']
  inputTokens: number
  outputTokens: number
  promptBytes: number
}

/**
 * The conversations of accounts. A turn is written down when it is over, with its session, in one
 * batch: whatever happens in the middle of it, the session is as it was before.
 */
export class SessionStore {
  readonly #components: SessionStoreComponents
  readonly #options: SessionStoreOptions
  readonly #sessions: Table<string, ChatSession>
  readonly #turns: Table<string, ChatTurn>
  readonly #holdings = new Holdings((account) => this.#count(account))
  /** Sessions in which somebody is speaking. */
  readonly #busy = new Underway<string>()
  /** By session: whoever changes it. */
  readonly #changes = new Turns()

  constructor(components: SessionStoreComponents, options: Partial<SessionStoreOptions> = {}) {
    this.#components = components
    this.#options = { ...defaultSessions, ...options }
    this.#sessions = components.store.table('sessions', sessionRows)
    this.#turns = components.store.table('sessions-turns', turnRows)
  }

  /** The session of this account; undefined for any other's as for none. */
  async get(account: string, id: string): Promise<ChatSession | undefined> {
    return isId('sess', id) ? this.#sessions.get(ownKey(account, id)) : undefined
  }

  async *list(account: string, range: Range<string>): AsyncGenerator<ChatSession> {
    for await (const [, session] of this.#sessions.range(ownRange(account, range))) yield session
  }

  /** The turns before this place, the newest first. */
  async *turns({ account, id }: ChatSession, before: number): AsyncGenerator<ChatTurn> {
    const range = { gte: turnId(id, 0), lt: turnId(id, before), reverse: true }
    for await (const [, turn] of this.#turns.range(ownRange(account, range))) yield turn
  }

  /**
   * Begins a turn, which whoever began it leaves. Throws `chat_session_conflict` for what is not
   * this account's session of this model, and does not say why: also not whether it is another's.
   * One turn at a time: while one is on, the next is refused with `chat_session_busy`.
   */
  async begin(asked: NewTurn): Promise<OpenTurn> {
    const { clock, random } = this.#components
    const { account } = asked
    const id = asked.sessionId ?? newId('sess', clock, random)
    const key = ownKey(account, id)
    if (this.#busy.all().includes(key)) throw busy()
    const leave = this.#busy.add(key)
    try {
      const known = asked.sessionId === undefined ? undefined : await this.get(account, id)
      if (asked.sessionId !== undefined && known?.model !== asked.model) throw conflict()
      await this.#checkRoom(account, known)
      const session = known ?? this.#fresh(id, asked)
      const { instructions = session.instructions } = asked
      const before = { ...session, instructions }
      const spoken = { ...asked, askedAt: clock.now() }
      const save: OpenTurn['save'] = (reply, also) => this.#save(before, spoken, reply, also)
      return { session: before, newestFirst: () => this.turns(before, before.turns), save, leave }
    } catch (error) {
      leave()
      throw error
    }
  }

  async rename(account: string, id: string, title: string): Promise<ChatSession> {
    const checked = checkedTitle(title)
    return this.#changes.inTurn(ownKey(account, id), async () => {
      const session = await this.#found(account, id)
      const renamed = { ...session, title: checked, updatedAt: this.#components.clock.now() }
      await this.#commit((rows) => rows.put(this.#sessions, ownKey(account, id), renamed))
      return renamed
    })
  }

  /** Resolves once it is gone for good; a turn that is on in it leaves nothing. */
  async delete(account: string, id: string): Promise<void> {
    await this.#changes.inTurn(ownKey(account, id), async () => {
      const { turns, bytes } = await this.#found(account, id)
      const holding = await this.#holdings.of(account)
      await this.#commit((rows) => {
        rows.del(this.#sessions, ownKey(account, id))
        for (let place = 0; place < turns; place++) {
          rows.del(this.#turns, ownKey(account, turnId(id, place)))
        }
      })
      holding.count -= 1
      holding.bytes -= bytes
    })
  }

  async #found(account: string, id: string): Promise<ChatSession> {
    const session = await this.get(account, id)
    if (session === undefined) throw sessionNotFound()
    return session
  }

  async #checkRoom(account: string, known: ChatSession | undefined): Promise<void> {
    const { sessionsMax, bytesMax, turnsMax } = this.#options
    const { count, bytes } = await this.#holdings.of(account)
    if (known === undefined && count >= sessionsMax) {
      throw full(`An account keeps ${sessionsMax} sessions at most. Delete some.`)
    }
    if (bytes >= bytesMax) {
      throw full(`The sessions of an account have ${bytesMax / MIB} MiB at most. Delete some.`)
    }
    if (known !== undefined && known.turns >= turnsMax) {
      throw full(`A session has ${turnsMax} turns at most. Begin a new one.`)
    }
  }

  #fresh(id: string, { account, model, message }: NewTurn): ChatSession {
    const now = this.#components.clock.now()
    return {
      ...{ id, account, model, title: titleOf(message), instructions: null },
      ...{ turns: 0, bytes: 0, createdAt: now, updatedAt: now },
    }
  }

  #save(
    before: ChatSession,
    asked: Asked,
    reply: Reply,
    also: (saved: SavedTurn, rows: Batch) => void = () => {},
  ): Promise<SavedTurn> {
    const { account, id } = before
    return this.#changes.inTurn(ownKey(account, id), async () => {
      const turn = this.#turnOf(asked, reply)
      const isNew = before.turns === 0
      // It may have another title by now, or be gone.
      const latest = isNew ? before : await this.get(account, id)
      if (latest === undefined) return { session: before, turn }
      const bytes = bytesOf(turn)
      const session: ChatSession = {
        ...latest,
        instructions: before.instructions,
        turns: before.turns + 1,
        bytes: latest.bytes + bytes,
        updatedAt: turn.assistant.createdAt,
      }
      const holding = await this.#holdings.of(account)
      await this.#commit((rows) => {
        rows.put(this.#sessions, ownKey(account, id), session)
        rows.put(this.#turns, ownKey(account, turnId(id, before.turns)), turn)
        also({ session, turn }, rows)
      })
      holding.count += isNew ? 1 : 0
      holding.bytes += bytes
      return { session, turn }
    })
  }

  #turnOf({ message, clientRequestId, askedAt }: Asked, reply: Reply): ChatTurn {
    const { clock, random } = this.#components
    const { promptBytes, ...said } = reply
    const user = { content: message, clientRequestId: clientRequestId ?? null, createdAt: askedAt }
    return {
      user: { id: newId('msg', clock, random), ...user },
      assistant: { id: newId('msg', clock, random), ...said, createdAt: clock.now() },
      promptBytes,
    }
  }

  #commit(fill: (rows: Batch) => void): Promise<void> {
    const rows = this.#components.store.batch()
    fill(rows)
    return this.#components.store.commit(rows)
  }

  async #count(account: string) {
    const holding = { count: 0, bytes: 0 }
    for await (const { bytes } of this.list(account, {})) {
      holding.count += 1
      holding.bytes += bytes
    }
    return holding
  }
}

export interface SavedTurn {
  session: ChatSession
  turn: ChatTurn
}

/** A turn that is on. */
export interface OpenTurn {
  /** As it was before, or will be begun. */
  session: ChatSession
  newestFirst(): AsyncIterable<ChatTurn>
  /**
   * Resolves once it is on the disk, with what `also` adds. Of a session that was deleted meanwhile
   * nothing is kept.
   */
  save(reply: Reply, also?: (saved: SavedTurn, rows: Batch) => void): Promise<SavedTurn>
  /** Lets the next turn in. */
  leave(): void
}

export const sessionNotFound = () =>
  new PeerError('chat_session_not_found', 'There is no chat session of this id.')

const conflict = () =>
  new PeerError(
    'chat_session_conflict',
    'There is no session of this id for this model. Leave `session_id` out to begin a new one.',
    { param: 'session_id' },
  )

const busy = () =>
  new PeerError(
    'chat_session_busy',
    'A turn of this session is still being answered. Send the next one after it.',
    { param: 'session_id' },
  )

const full = (message: string) => new PeerError('chat_quota_exceeded', message)
