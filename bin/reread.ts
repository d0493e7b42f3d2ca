import { statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A file that nobody has written to for so long is whole: editors write in steps, or take it away first. */
const SETTLED_MS = 200
/** What keeps changing is read as it is. */
const WAIT_MS_MAX = 2_000

/** Has a file read again when that is asked for: once it is whole, and once for all who ask meanwhile. */
export class Rereading {
  readonly #path: string
  readonly #reread: () => void
  #waited = 0
  #timer: NodeJS.Timeout | undefined

  constructor(path: string, reread: () => void) {
    this.#path = path
    this.#reread = reread
  }

  ask(): void {
    if (this.#timer === undefined) this.#look()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #look(): void {
    const age = Date.now() - changedAt(this.#path)
    const isFresh = age >= 0 && age < SETTLED_MS
    if (isFresh && this.#waited < WAIT_MS_MAX) {
      const ms = SETTLED_MS - Math.floor(age)
      this.#waited += ms
      this.#timer = setTimeout(() => this.#look(), ms)
      return
    }
    this.#timer = undefined
    this.#waited = 0
    this.#reread()
  }
}

/** Of a file that is away, when something was last put into its folder or taken from there. */
function changedAt(path: string): number {
  for (const place of [path, dirname(path)]) {
    try {
      return statSync(place).mtimeMs
    } catch {
      // The folder knows, or whoever reads the file says what is wrong.
    }
  }
  return 0
}
