import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import type { AnswerEnd, Conversation } from './conversation.ts'
import { GhostText, showsGhosts } from './ghost-text.ts'
import { RefusedError } from './http-client.ts'
import { CommandError, exitCodes, type Io, print } from './io.ts'
import { type Paint, paintFor, safeJson, safeLine } from './text.ts'

export interface ChatLoopOptions {
  model: string
  json: boolean
  /** The only question; otherwise they come from stdin. */
  once?: string
}

const promptText = '> '
const helpLines = [
  '/clear   forget what was said',
  '/help    show this',
  '/quit    leave; so does Ctrl-D',
  'Ctrl-C stops an answer.',
]

/** Asks what comes from `--once`, a pipe or a person, until there is no more. */
export async function chatLoop(
  conversation: Conversation,
  io: Io,
  options: ChatLoopOptions,
): Promise<number> {
  if (options.once !== undefined) {
    await answer(conversation, options.once, io, options, io.signal)
    return io.signal.aborted ? exitCodes.failed : exitCodes.done
  }
  if (io.stdin.isTTY === true && !options.json) return new Dialogue(conversation, io, options).run()
  const lines = createInterface({ input: io.stdin, signal: io.signal })
  for await (const line of lines) {
    if (line.trim() === '') continue
    await answer(conversation, line, io, options, io.signal)
    // `yes | pinaivu-peer chat | head -2`: nobody would read the next answer.
    if (io.signal.aborted || hasFailed(io.stdout)) return exitCodes.failed
  }
  return io.signal.aborted ? exitCodes.failed : exitCodes.done
}

const hasFailed = ({ errored }: Io['stdout']): boolean => errored !== undefined && errored !== null

/** Asks and prints one answer, as it comes or as one JSON object. */
async function answer(
  conversation: Conversation,
  question: string,
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
  { model, json }: ChatLoopOptions,
  signal: AbortSignal,
): Promise<AnswerEnd> {
  const paint = paintFor(stdout, env)
  const watched = !json && showsGhosts(stdout, paint)
  const screen = new GhostText(stdout, paint)
  const pieces = conversation.ask(question, { watched, signal })
  let text = ''
  try {
    for (;;) {
      const next = await pieces.next()
      if (next.done) {
        screen.end()
        const { finish, usage, requestId } = next.value
        const facts = { model, question, answer: text, finish_reason: finish, usage }
        print(stdout, json ? safeJson({ ...facts, request_id: requestId }) : '')
        return next.value
      }
      text += next.value.text
      if (!json) screen.show(next.value.text, next.value.ghost)
    }
  } finally {
    screen.end()
  }
}

/** A person at a terminal. */
class Dialogue {
  readonly #conversation: Conversation
  readonly #io: Io
  readonly #options: ChatLoopOptions
  readonly #paint: Paint
  readonly #lines: Interface
  #answering: AbortController | undefined
  /** Ctrl-C was pressed at an empty prompt: once more leaves. */
  #leaving = false
  /** Nothing more is typed: Ctrl-D, maybe while an answer ran. */
  #left = false

  constructor(conversation: Conversation, io: Io, options: ChatLoopOptions) {
    this.#conversation = conversation
    this.#io = io
    this.#options = options
    this.#paint = paintFor(io.stdout, io.env)
    // What is typed while an answer runs would be mixed into it.
    const output = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        if (this.#answering === undefined) io.stdout.write(piece.toString())
        done()
      },
    })
    this.#lines = createInterface({
      input: io.stdin,
      output: Object.assign(output, { columns: io.stdout.columns }),
      terminal: true,
      prompt: promptText,
      signal: io.signal,
    })
    this.#lines.on('SIGINT', () => this.#interrupted())
    this.#lines.once('close', () => {
      this.#left = true
      this.#answering?.abort()
    })
  }

  async run(): Promise<number> {
    const title = `${safeLine(this.#options.model)}  (/help, Ctrl-D leaves)`
    print(this.#io.stdout, this.#paint('dim', title))
    this.#lines.prompt()
    for await (const line of this.#lines) {
      this.#leaving = false
      const stays = await this.#entered(line.trim())
      if (!stays || this.#left || this.#io.signal.aborted) break
      this.#lines.prompt()
    }
    this.#lines.close()
    print(this.#io.stdout, '')
    return exitCodes.done
  }

  /** Does what was entered; false when that was to leave. */
  async #entered(line: string): Promise<boolean> {
    if (line === '/quit' || line === '/exit' || line === '/bye') return false
    if (line === '/clear') this.#conversation.clear()
    else if (line.startsWith('/')) print(this.#io.stdout, ...helpLines)
    else if (line !== '') await this.#ask(line)
    return true
  }

  async #ask(question: string): Promise<void> {
    const { stdout, stderr, env, signal } = this.#io
    this.#answering = new AbortController()
    const either = AbortSignal.any([signal, this.#answering.signal])
    try {
      const { finish } = await answer(this.#conversation, question, this.#io, this.#options, either)
      if (finish === 'cancelled') print(stdout, this.#paint('dim', '(stopped)'))
      if (finish === 'length') print(stdout, this.#paint('dim', '(the longest answer that fits)'))
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      // The question is forgotten, the conversation goes on.
      print(stderr, `${paintFor(stderr, env)('red', 'Error:')} ${safeLine(error.message)}`)
      if (error instanceof RefusedError) {
        print(stdout, this.#paint('dim', '(/clear forgets what was said, /quit leaves)'))
      }
    } finally {
      this.#answering = undefined
    }
  }

  #interrupted(): void {
    if (this.#answering !== undefined) {
      this.#answering.abort()
      return
    }
    // As in a shell, Ctrl-C throws away what is half typed.
    if (this.#lines.line === '' && this.#leaving) {
      this.#lines.close()
      return
    }
    this.#leaving = this.#lines.line === ''
    const hint = this.#leaving ? '(Ctrl-C again leaves)' : ''
    print(this.#io.stdout, `\n${this.#paint('dim', hint)}`)
    this.#lines.write(null, { ctrl: true, name: 'u' })
    this.#lines.prompt()
  }
}
