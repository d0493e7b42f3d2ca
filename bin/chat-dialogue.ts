import { messageOf, PeerError } from '../src/index.ts'
import { runChatCommand } from './chat-actions.ts'
import { helpLines, parseChatCommand } from './chat-commands.ts'
import { leftOutText } from './chat-loop.ts'
import { type ChatPeer, COMES_BACK_MS } from './chat-peer.ts'
import type { Conversation } from './conversation.ts'
import { isGone } from './http-client.ts'
import { CommandError, exitCodes, type Io, type Output, print } from './io.ts'
import type { LineHistory } from './line-history.ts'
import { type Question, showAnswer } from './show-answer.ts'
import { type Paint, paintFor, safeLine, safeText } from './text.ts'
import { type TypedEntry, TypedMessages } from './typed-messages.ts'

export interface DialogueComponents {
  peer: ChatPeer
  conversation: Conversation
  io: Io
  /** Undefined: nothing that is typed is kept, nor had again. */
  history: LineHistory | undefined
}

/** Talks with a person at a terminal. */
export async function dialogue(components: DialogueComponents): Promise<number> {
  const { history, io } = components
  const lines = await history?.read().catch((error) => {
    print(io.stderr, `The lines of earlier chats cannot be read: ${safeLine(error.message)}`)
    return undefined
  })
  return new Dialogue(components, lines ?? []).run()
}

class Dialogue {
  readonly #components: DialogueComponents
  /** Where the person looks; of the answers alone stdout is written, when it is no terminal. */
  readonly #screen: Output
  readonly #paint: Paint
  readonly #typed: TypedMessages
  /** What can be stopped now. */
  #working: AbortController | undefined
  /** Ctrl-C was pressed: once more leaves. */
  #leaving = false
  /** Nothing more is typed: Ctrl-D, maybe while an answer ran. */
  #left = false
  #hasLeftOut = false
  #historyFailed = false

  constructor(components: DialogueComponents, lines: readonly string[]) {
    const { io } = components
    this.#components = components
    this.#screen = io.stdout.isTTY === true ? io.stdout : io.stderr
    this.#paint = paintFor(this.#screen, io.env)
    this.#typed = new TypedMessages(io, {
      screen: this.#screen,
      history: lines,
      onKept: (line) => this.#keep(line),
      onLine: () => {
        this.#leaving = false
      },
      onInterrupt: () => this.#interrupted(),
      onEnd: () => {
        this.#left = true
        this.#working?.abort()
      },
    })
  }

  async run(): Promise<number> {
    const { conversation, io } = this.#components
    this.#say(`${safeLine(conversation.model)}  (/help, Ctrl-D leaves)`)
    while (!this.#left && !io.signal.aborted) {
      this.#typed.prompt()
      const entry = await this.#typed.next()
      if (entry === undefined || !(await this.#entered(entry))) break
    }
    this.#typed.close()
    print(this.#screen, '')
    await this.#components.history?.settled()
    return exitCodes.done
  }

  /** Does what was entered; false when that was to leave. */
  async #entered(entry: TypedEntry): Promise<boolean> {
    if (entry.kind === 'refused') {
      this.#fail(entry.says)
      return true
    }
    if (!entry.isShown) print(this.#screen, `> ${safeText(entry.text)}`)
    if (entry.kind === 'message') {
      await this.#ask({ text: entry.text })
      return true
    }
    const command = parseChatCommand(entry.text)
    if ('says' in command) this.#fail(command.says)
    else if (command.name === 'bye') return false
    else if (command.name === 'help') print(this.#screen, ...helpLines())
    else if (command.name === 'retry') await this.#retry()
    else {
      const parts = { ...this.#components, screen: this.#screen }
      await this.#stoppable(async (signal) => {
        print(this.#screen, ...(await runChatCommand(command, parts, signal)))
        // Another conversation: what is left out of it is said anew.
        if (command.name === 'clear' || command.name === 'load') this.#hasLeftOut = false
      })
    }
    return true
  }

  async #retry(): Promise<void> {
    const last = this.#components.conversation.lastQuestion
    if (last === undefined) this.#fail('Nothing was asked yet.')
    else await this.#ask({ text: last.question, again: last.again })
  }

  async #ask(question: Question): Promise<void> {
    const { conversation, io } = this.#components
    const before = conversation.turns
    await this.#stoppable(async (signal) => {
      // The peer was gone in the midst of it, and is back.
      if (conversation.turns !== before) {
        this.#say('(what came of the answer is kept; /retry asks again)')
        return
      }
      const { finish, leftOut } = await showAnswer(conversation, question, { ...io, signal })
      if (finish === 'cancelled') this.#say('(stopped; Ctrl-C again leaves)')
      if (finish === 'length') this.#say('(the longest answer that fits)')
      if (leftOut > 0 && !this.#hasLeftOut) this.#say(leftOutText(leftOut))
      this.#hasLeftOut ||= leftOut > 0
    })
  }

  /**
   * Does what Ctrl-C stops, and tells what failed of it: the conversation goes on. Where the peer is
   * gone, it waits for it and does it again.
   */
  async #stoppable(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#working = new AbortController()
    const signal = AbortSignal.any([this.#components.io.signal, this.#working.signal])
    try {
      while (!(await this.#isDone(work, signal)));
    } catch (error) {
      if (signal.aborted) this.#say('(stopped; Ctrl-C again leaves)')
      else if (error instanceof CommandError || error instanceof PeerError) {
        this.#fail(error.message)
      } else throw error
    } finally {
      this.#working = undefined
    }
  }

  /** False when the peer was gone and is back. Throws where it does not come back in time. */
  async #isDone(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal) {
    try {
      await work(signal)
      return true
    } catch (error) {
      if (signal.aborted || !isGone(error)) throw error
      const reason = safeLine(messageOf(error)).replace(/\.$/, '')
      this.#say(`(${reason}. Waiting for the peer; Ctrl-C stops that.)`)
      if (!(await this.#components.peer.comesBack(error, signal))) {
        const waited = `No peer came back within ${COMES_BACK_MS / 1000} s.`
        throw new CommandError(`${waited} Start one with "pinaivu-peer start", then /retry.`)
      }
      this.#say('(the peer is back)')
      return false
    }
  }

  #interrupted(): void {
    if (this.#working !== undefined) {
      if (this.#working.signal.aborted) {
        this.#typed.close()
        return
      }
      this.#leaving = true
      this.#working.abort()
      this.#typed.drop()
      return
    }
    if (this.#typed.isEmpty && this.#leaving) {
      this.#typed.close()
      return
    }
    // As in a shell, Ctrl-C throws away what is half typed.
    this.#leaving = this.#typed.isEmpty
    print(this.#screen, '')
    if (this.#leaving) this.#say('(Ctrl-C again, Ctrl-D or /bye leaves)')
    this.#typed.drop()
    this.#typed.prompt()
  }

  #keep(line: string): void {
    this.#components.history?.add(line).catch((error) => {
      if (this.#historyFailed) return
      this.#historyFailed = true
      this.#fail(`The lines that you type cannot be kept: ${error.message}`)
    })
  }

  #say(text: string): void {
    print(this.#screen, this.#paint('dim', text))
  }

  #fail(text: string): void {
    const { stderr, env } = this.#components.io
    print(stderr, `${paintFor(stderr, env)('red', 'Error:')} ${safeLine(text)}`)
  }
}
