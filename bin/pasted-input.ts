import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import { MESSAGE_CHARS_MAX } from './message-reader.ts'
import { withoutControls } from './text.ts'

const esc = '\u001b'
const begin = `${esc}[200~`
const end = `${esc}[201~`
const CTRL_C = '\u0003'
/** More at once than anybody types: what a terminal brings that does not mark pastes. */
const TYPED_MAX = 256

/**
 * What a terminal brings, for readline: keys as they come, and what is pasted as one text. Taken for keys, each
 * character of a long line costs as much as all before it, and what is in the text would be obeyed.
 */
export class PastedInput extends EventEmitter {
  readonly isTTY = true
  readonly #terminal: Readable & { setRawMode?(mode: boolean): unknown }
  readonly #insert: (text: string) => void
  readonly #decoder = new TextDecoder()
  /** The last of what was looked at: a mark may come in two pieces. */
  #tail = ''
  /** Undefined: nothing is being pasted. */
  #pasted: string[] | undefined
  #chars = 0

  constructor(terminal: Readable, insert: (text: string) => void) {
    super()
    this.#terminal = terminal
    this.#insert = insert
    terminal.on('data', this.#onData)
    terminal.on('end', this.#onEnd)
    // It is gone, as after its window was closed.
    terminal.on('error', this.#onEnd)
  }

  setRawMode(mode: boolean): void {
    this.#terminal.setRawMode?.(mode)
  }

  resume(): void {
    this.#terminal.resume()
  }

  pause(): void {
    this.#terminal.pause()
  }

  /** From now on the terminal is somebody else's. */
  release(): void {
    this.#terminal.off('data', this.#onData)
    this.#terminal.off('end', this.#onEnd)
  }

  readonly #onEnd = () => this.emit('end')

  readonly #onData = (bytes: Uint8Array | string) => {
    let piece = typeof bytes === 'string' ? bytes : this.#decoder.decode(bytes, { stream: true })
    // The mark at the end of a paste was lost: whoever types that wants to get out.
    if (this.#pasted !== undefined && piece === CTRL_C) {
      this.#pasted = undefined
      this.emit('data', end)
    }
    while (piece !== '')
      piece = this.#pasted === undefined ? this.#typed(piece) : this.#paste(piece)
  }

  /** Returns what is behind the mark of a paste. */
  #typed(piece: string): string {
    const behind = this.#behind(begin, piece)
    const keys = piece.slice(0, behind)
    if (keys.length > TYPED_MAX && !/[^\P{Cc}\r\n\t]/u.test(keys)) this.#typeMany(keys)
    else this.emit('data', keys)
    if (behind === undefined) return ''
    this.#pasted = []
    this.#chars = 0
    return piece.slice(behind)
  }

  #typeMany(keys: string): void {
    for (const [at, line] of lines(keys).split('\n').entries()) {
      if (at > 0) this.emit('data', '\r')
      if (line !== '') this.#insert(line)
    }
  }

  #paste(piece: string): string {
    const behind = this.#behind(end, piece)
    const part = piece.slice(0, behind)
    // One more than may be, so that it is refused.
    if (this.#chars <= MESSAGE_CHARS_MAX) this.#pasted?.push(part)
    this.#chars += part.length
    if (behind === undefined) return ''
    const text = this.#pasted?.join('') ?? ''
    this.#pasted = undefined
    this.#insert(withoutControls(lines(text.endsWith(end) ? text.slice(0, -end.length) : text)))
    this.emit('data', end)
    return piece.slice(behind)
  }

  /** Where this piece goes on behind the mark that ends in it. */
  #behind(mark: string, piece: string): number | undefined {
    const seen = this.#tail + piece
    const at = seen.indexOf(mark)
    const behind = at + mark.length - this.#tail.length
    this.#tail = at < 0 ? seen.slice(-(mark.length - 1)) : ''
    return at < 0 ? undefined : behind
  }
}

const lines = (text: string): string => text.replace(/\r\n?/g, '\n')
