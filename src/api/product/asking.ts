import type { ChatTurn } from '../../accounts/sessions/session-record.ts'
import type { OpenTurn } from '../../accounts/sessions/session-store.ts'
import {
  keptTurns,
  messagesOf,
  newerHalf,
  type Room,
  type Said,
} from '../../accounts/sessions/trim.ts'
import { PeerError } from '../../base/errors.ts'
import type { Chunk, Generate } from '../../wire/chunk.ts'
import type { Job, Message } from '../../wire/job.ts'

export interface AskingComponents {
  generate: Generate
  jobOf(messages: Message[]): Job
  open: Pick<OpenTurn, 'newestFirst'>
}

/** One turn on its way to an answer, with as much of what was said before as the model takes. */
export class Asking {
  readonly #components: AskingComponents
  readonly #said: Said
  readonly #room: Room
  /** Of all that the model is given. */
  promptBytes = 0
  /** The last one: the others were refused. */
  jobId = ''

  constructor(components: AskingComponents, said: Said, room: Room) {
    this.#components = components
    this.#said = said
    this.#room = room
  }

  async *chunks(signal: AbortSignal): AsyncGenerator<Chunk> {
    const { generate, open } = this.#components
    let kept: readonly ChatTurn[] = await keptTurns(open.newestFirst(), this.#said, this.#room)
    for (;;) {
      try {
        yield* generate(this.#job(kept), { signal })
        return
      } catch (error) {
        if (kept.length === 0 || !isTooLong(error)) throw error
        kept = newerHalf(kept)
      }
    }
  }

  #job(kept: readonly ChatTurn[]): Job {
    const messages = messagesOf(kept, this.#said)
    const job = this.#components.jobOf(messages)
    this.promptBytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0)
    this.jobId = job.id
    return job
  }
}

/** Nothing of the answer has come by then. */
const isTooLong = (error: unknown): boolean =>
  error instanceof PeerError && error.code === 'context_length_exceeded'
