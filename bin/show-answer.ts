import type { AnswerEnd, Conversation } from './conversation.ts'
import { GhostText, showsGhosts } from './ghost-text.ts'
import { type Io, type Output, print } from './io.ts'
import { paintFor, safeJson } from './text.ts'

export interface Question {
  text: string
  /** The answer takes the place of the last one. */
  again?: boolean
}

/** Nobody reads what is written there any more, as behind `| head -1`. */
export const hasFailed = ({ errored }: Output): boolean => errored !== undefined && errored !== null

/** Asks and prints one answer as it comes: as text, or as a line of JSON for each piece and the end. */
export async function showAnswer(
  conversation: Conversation,
  { text: question, again = false }: Question,
  { stdout, env, signal }: Pick<Io, 'stdout' | 'env' | 'signal'>,
  json = false,
): Promise<AnswerEnd> {
  const paint = paintFor(stdout, env)
  const watched = !json && showsGhosts(stdout, paint)
  const screen = new GhostText(stdout, paint)
  const unread = new AbortController()
  const either = AbortSignal.any([signal, unread.signal])
  const { model } = conversation
  const pieces = conversation.ask(question, { watched, again, signal: either })
  let answer = ''
  try {
    for (;;) {
      const next = await pieces.next()
      if (next.done) {
        screen.end()
        const { finish, usage, requestId, receipt = null } = next.value
        const facts = { model, question, answer, finish_reason: finish, usage }
        const event = { event: 'done', ...facts, request_id: requestId, receipt }
        print(stdout, json ? safeJson(event) : '')
        return next.value
      }
      const { text, ghost } = next.value
      answer += text
      if (!json) screen.show(text, ghost)
      else if (text !== '') print(stdout, safeJson({ event: 'token', text }))
      if (hasFailed(stdout)) unread.abort()
    }
  } finally {
    screen.end()
  }
}
