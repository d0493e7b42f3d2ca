/** What lines came to. */
export type Entry =
  | { kind: 'message'; text: string }
  /** Begins with a slash. */
  | { kind: 'command'; text: string }
  | { kind: 'refused'; says: string }

export interface MessageReaderOptions {
  /** Whether a line that begins with a slash is a command: not in what comes from a pipe. */
  commands: boolean
}

/** Of one message; the context of the largest models is smaller. */
export const MESSAGE_CHARS_MAX = 4 * 1024 * 1024

const quotes = '"""'
const begun = { plain: /^\s*"""/, command: /^\s*(\/system\s+)?"""/ }
/** An odd number of them: two are one that was meant. */
const backslash = /(?<!\\)(?:\\\\)*\\$/

/**
 * Makes messages of lines. A line is a message, unless it opens a block of `"""`, ends with a backslash,
 * or ends within a paste: then more belongs to it. What was pasted is taken as it is.
 */
export class MessageReader {
  readonly #options: MessageReaderOptions
  #lines: string[] = []
  #chars = 0
  #state: 'empty' | 'block' | 'more' = 'empty'
  /** Typed in, and in no block: a slash at its beginning means something. */
  #isPlain = true
  /** What stands in front of a block: `/system `, or nothing. */
  #front = ''

  constructor(options: MessageReaderOptions) {
    this.#options = options
  }

  /** A message has begun and is not at its end. */
  get isOpen(): boolean {
    return this.#state !== 'empty'
  }

  push(line: string, isPasted = false): Entry | undefined {
    if (this.#state === 'block') return this.#inBlock(line, isPasted)
    if (isPasted) {
      if (this.#state === 'empty') this.#isPlain = false
      return this.#keep(line, 'more')
    }
    const opening = this.#state === 'empty' ? this.#opening(line) : null
    if (opening !== null) {
      this.#isPlain = false
      this.#front = opening[1] ?? ''
      this.#state = 'block'
      const rest = line.slice(opening[0].length)
      return rest.trim() === '' ? undefined : this.#inBlock(rest, false)
    }
    if (backslash.test(line)) return this.#keep(line.slice(0, -1), 'more')
    this.#keep(line, 'more')
    return this.#finish()
  }

  /** No more lines come: what stands there is all. */
  end(): Entry | undefined {
    return this.isOpen ? this.#finish() : undefined
  }

  drop(): void {
    this.#lines = []
    this.#chars = 0
    this.#state = 'empty'
    this.#isPlain = true
    this.#front = ''
  }

  #opening(line: string): RegExpExecArray | null {
    return (this.#options.commands ? begun.command : begun.plain).exec(line)
  }

  #inBlock(line: string, isPasted: boolean): Entry | undefined {
    const text = line.trimEnd()
    if (isPasted || !text.endsWith(quotes)) return this.#keep(line, 'block')
    const last = text.slice(0, -quotes.length)
    if (last !== '') this.#keep(last, 'block')
    return this.#finish()
  }

  #keep(line: string, state: 'block' | 'more'): undefined {
    this.#state = state
    this.#chars += line.length + 1
    // Of what is too long nothing is needed any more but its end.
    if (this.#chars > MESSAGE_CHARS_MAX) this.#lines = []
    else this.#lines.push(line)
  }

  #finish(): Entry | undefined {
    const whole = this.#lines.join('\n')
    const [isPlain, front, chars] = [this.#isPlain, this.#front, this.#chars]
    this.drop()
    if (chars > MESSAGE_CHARS_MAX) {
      const most = MESSAGE_CHARS_MAX.toLocaleString('en')
      return { kind: 'refused', says: `A message has at most ${most} characters. Shorten it.` }
    }
    // In quotes, so that no word of the block means more than itself.
    if (front !== '') return { kind: 'command', text: `${front.trim()} "${whole}"` }
    const text = isPlain ? whole.trim() : whole.trimEnd()
    if (text.trim() === '') return undefined
    if (!isPlain || !this.#options.commands || !text.startsWith('/')) {
      return { kind: 'message', text }
    }
    return text.startsWith('//')
      ? { kind: 'message', text: text.slice(1) }
      : { kind: 'command', text }
  }
}
