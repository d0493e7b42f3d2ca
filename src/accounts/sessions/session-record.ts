import { jsonValue, textKey } from '../../storage/codec.ts'

/** A conversation that this peer remembers for an account. */
export interface ChatSession {
  /** `sess_…` */
  id: string
  account: string
  /** By the name that this network knows it under: all turns are its. */
  model: string
  title: string
  /** What the model is told before the conversation. */
  instructions: string | null
  turns: number
  /** Of all that was said in it. */
  bytes: number
  /** Milliseconds since the epoch, like the other times. */
  createdAt: number
  updatedAt: number
}

/** What was said, and what came back: written down together or not at all. */
export interface ChatTurn {
  user: {
    /** `msg_…` */
    id: string
    content: string
    clientRequestId: string | null
    createdAt: number
  }
  assistant: {
    id: string
    content: string
    /** cancelled: the one who asked left while it was being said. */
    status: 'completed' | 'cancelled'
    inputTokens: number
    outputTokens: number
    createdAt: number
  }
  /** Of all that the model was given for this turn. */
  promptBytes: number
}

/** UTF-8 bytes of both sides. */
export const bytesOf = ({ user, assistant }: ChatTurn): number =>
  Buffer.byteLength(user.content) + Buffer.byteLength(assistant.content)

type Fields<T> = Partial<Record<keyof T, unknown>>

function checkSession(value: unknown): ChatSession {
  const row = value as Fields<ChatSession>
  const texts = [row.id, row.account, row.model, row.title]
  const numbers = [row.turns, row.bytes, row.createdAt, row.updatedAt]
  const isSession =
    texts.every((text) => typeof text === 'string') &&
    numbers.every((number) => Number.isSafeInteger(number))
  if (!isSession) throw new TypeError('not a session')
  return value as ChatSession
}

function checkTurn(value: unknown): ChatTurn {
  const { user, assistant, promptBytes } = value as Fields<ChatTurn>
  const isSaid = [user, assistant].every(
    (side) => typeof (side as Fields<ChatTurn['user']> | undefined)?.content === 'string',
  )
  if (!isSaid || !Number.isSafeInteger(promptBytes)) throw new TypeError('not a turn')
  return value as ChatTurn
}

/** By account and id. */
export const sessionRows = { key: textKey, value: jsonValue(checkSession) }

/** By account, session and place. */
export const turnRows = { key: textKey, value: jsonValue(checkTurn) }

const PLACE_DIGITS = 8

/** Of its place in the session; behind the session's own id, as the rows of an account are. */
export const turnId = (sessionId: string, place: number): string =>
  `${sessionId}/${String(place).padStart(PLACE_DIGITS, '0')}`
