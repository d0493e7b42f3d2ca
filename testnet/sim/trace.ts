import { createHash } from 'node:crypto'

/** The last of what happened, for whoever looks for the cause of a failure. */
const LINES_MAX = 400

/** Everything that happens, in its order. Two runs are the same if their hashes are. */
export class Trace {
  readonly #hash = createHash('sha256')
  readonly #now: () => number
  readonly #lines: string[] = []
  #count = 0

  constructor(now: () => number) {
    this.#now = now
  }

  get count(): number {
    return this.#count
  }

  /** What a person may want to read. */
  event(text: string): void {
    const line = `${this.#now()} ${text}`
    this.#count++
    this.#hash.update(`${line}\n`)
    this.#lines.push(line)
    if (this.#lines.length > 2 * LINES_MAX) this.#lines.splice(0, LINES_MAX)
  }

  /** Frames and messages: too many to be read. */
  bytes(what: string, bytes: Uint8Array): void {
    this.#count++
    this.#hash.update(`${this.#now()} ${what} ${bytes.length}\n`)
    this.#hash.update(bytes)
  }

  lastLines(): string[] {
    return this.#lines.slice(-LINES_MAX)
  }

  /** Of all so far. */
  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 32)
  }
}
