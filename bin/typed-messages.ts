import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Io, Output } from './io.ts'
import { isKept } from './line-history.ts'
import { type Entry, MessageReader } from './message-reader.ts'
import { PastedInput } from './pasted-input.ts'

/** `isShown`: it was typed when the screen was free for it. */
export type TypedEntry = Entry & { isShown: boolean }

export interface TypedMessagesOptions {
  /** Where what is typed is shown. */
  screen: Output
  /** The oldest first. */
  history: readonly string[]
  /** A line that is to be had again. */
  onKept(line: string): void
  /** Any line. */
  onLine(): void
  /** Ctrl-C. */
  onInterrupt(): void
  /** Ctrl-D, or the terminal is gone. */
  onEnd(): void
}

const esc = '\u001b'
/** The terminal marks what is pasted: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
const markPastes = { on: `${esc}[?2004h`, off: `${esc}[?2004l` }
const prompts = { first: '> ', more: '. ' }
const HISTORY_SIZE = 1000

/** What a person types, message by message. */
export class TypedMessages {
  readonly #options: TypedMessagesOptions
  readonly #reader = new MessageReader({ commands: true })
  readonly #lines: Interface
  readonly #input: PastedInput
  /** Typed ahead. */
  #entries: TypedEntry[] = []
  #hasEnded = false
  #wake: () => void = () => {}
  readonly #marksPastes: boolean
  #isPasting = false
  /** What is typed now would be mixed into what is shown. */
  #isMuted = true

  constructor(io: Io, options: TypedMessagesOptions) {
    const { screen, history } = options
    this.#options = options
    this.#marksPastes = io.env.TERM !== 'dumb'
    const output = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        if (!this.#isMuted) screen.write(piece.toString())
        done()
      },
    })
    this.#input = new PastedInput(io.stdin, (text) => {
      if (!this.#hasEnded) this.#lines.write(text)
    })
    this.#lines = createInterface({
      // Of a stream readline uses what this has.
      input: this.#input as unknown as NodeJS.ReadableStream,
      // Asked for each time: windows change their size.
      output: Object.defineProperty(output, 'columns', { get: () => screen.columns }),
      terminal: true,
      prompt: prompts.first,
      history: [...history].reverse(),
      historySize: HISTORY_SIZE,
      signal: io.signal,
    })
    this.#listen()
    this.#setMarks(true)
  }

  /** Shows what is typed, behind a prompt, from now on. */
  prompt(): void {
    this.#isMuted = false
    this.#lines.setPrompt(this.#reader.isOpen ? prompts.more : prompts.first)
    this.#lines.prompt()
  }

  /** Undefined when no more will come. Until the next prompt the screen is the caller's. */
  async next(): Promise<TypedEntry | undefined> {
    while (this.#entries.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#entries.shift()
  }

  /** Nothing is typed of a message. */
  get isEmpty(): boolean {
    return this.#lines.line === '' && !this.#reader.isOpen
  }

  /** What is typed of a message is thrown away, and all that was typed ahead. */
  drop(): void {
    this.#entries = []
    this.#reader.drop()
    this.#lines.write(null, { ctrl: true, name: 'e' })
    this.#lines.write(null, { ctrl: true, name: 'u' })
  }

  close(): void {
    this.#lines.close()
  }

  #listen(): void {
    const { onInterrupt, onEnd, onLine, onKept } = this.#options
    this.#input.on('keypress', this.#onKey)
    this.#lines.on('history', (history: string[]) => {
      const [line = ''] = history
      // Of a paste nothing is to be typed again, nor of what belongs to it.
      const isPasted = this.#isPasting || this.#hasPasted
      if (isPasted || !isKept(line)) history.shift()
      else onKept(line)
    })
    this.#lines.on('line', (line) => {
      onLine()
      this.#hasPasted = this.#isPasting
      const entry = this.#reader.push(line, this.#isPasting)
      if (entry === undefined) {
        if (!this.#isMuted) this.prompt()
        return
      }
      this.#entries.push({ ...entry, isShown: !this.#isMuted })
      this.#isMuted = true
      this.#wake()
    })
    this.#lines.on('SIGINT', onInterrupt)
    // A shell that had the terminal meanwhile has changed its ways.
    this.#lines.on('SIGCONT', () => {
      this.#setMarks(true)
      if (!this.#isMuted) this.prompt()
    })
    this.#lines.once('close', () => {
      this.#input.release()
      this.#setMarks(false)
      this.#hasEnded = true
      this.#wake()
      onEnd()
    })
  }

  /** The line before this one ended in a paste: this one is its rest. */
  #hasPasted = false

  readonly #onKey = (_text: string | undefined, key: { name?: string | undefined } | undefined) => {
    if (key?.name === 'paste-start') this.#isPasting = true
    if (key?.name === 'paste-end') this.#isPasting = false
  }

  #setMarks(on: boolean): void {
    if (this.#marksPastes) this.#options.screen.write(on ? markPastes.on : markPastes.off)
  }
}
