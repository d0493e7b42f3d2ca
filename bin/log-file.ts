import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { InvalidError, messageOf } from '../src/index.ts'

export interface LogFileOptions {
  path: string
  /** Of one file; then the next is begun. */
  bytesMax: number
  /** All of them together, the one that is written included. */
  filesMax: number
}

const ownerOnly = 0o600
const LINE_END = '\n'.charCodeAt(0)

/**
 * A log in files of a bounded size: FILE, and before it FILE.1, FILE.2 and so on. A line is with the
 * system once `write` returns, so that an end of the process takes none back. Where the disk takes
 * nothing, lines are lost, and the next that is written is preceded by how many.
 */
export class LogFile {
  readonly #options: LogFileOptions
  #file: number | undefined
  #bytes = 0
  /** The last line in it has no end. */
  #isTorn = false
  #lost = 0

  /** Throws where it cannot be written at all. */
  constructor(options: LogFileOptions) {
    this.#options = options
    try {
      this.#open()
    } catch (error) {
      const message = `log-file: cannot write to ${options.path}: ${messageOf(error)}.`
      throw new InvalidError('log-file', message)
    }
  }

  /** One line or several, whole ones. */
  write(text: string): void {
    try {
      if (this.#lost > 0) this.#append(lostLine(this.#lost))
      this.#lost = 0
      this.#append(text)
    } catch {
      // A peer does not end because its log cannot be written, nor is there anybody to tell.
      this.#lost += 1
    }
  }

  /** Goes on in the file that has the name now, if somebody else has moved the other away. */
  reopen(): void {
    try {
      this.close()
    } catch {
      // A full disk may be told of only now, and the lines with it.
      this.#lost += 1
    }
  }

  close(): void {
    if (this.#file === undefined) return
    const file = this.#file
    this.#file = undefined
    closeSync(file)
  }

  #append(text: string): void {
    const bytes = Buffer.byteLength(text) + 1
    this.#open()
    if (this.#bytes > 0 && this.#bytes + bytes > this.#options.bytesMax) this.#rotate()
    const file = this.#open()
    const line = Buffer.from(this.#isTorn ? `\n${text}` : text)
    for (let written = 0; written < line.length; ) {
      this.#isTorn = true
      const count = writeSync(file, line, written)
      written += count
      this.#bytes += count
    }
    this.#isTorn = false
  }

  #open(): number {
    if (this.#file !== undefined) return this.#file
    const file = openSync(this.#options.path, 'a+', ownerOnly)
    try {
      const stat = fstatSync(file)
      this.#bytes = stat.isFile() ? stat.size : 0
      const last = Buffer.alloc(1)
      if (this.#bytes > 0) readSync(file, last, 0, 1, this.#bytes - 1)
      this.#isTorn = this.#bytes > 0 && last[0] !== LINE_END
    } catch (error) {
      closeSync(file)
      throw error
    }
    this.#file = file
    return file
  }

  /** From the oldest on: a crash in between leaves out a number, and no line. */
  #rotate(): void {
    const { path, filesMax } = this.#options
    this.close()
    const name = (age: number) => (age === 0 ? path : `${path}.${age}`)
    rmSync(name(filesMax - 1), { force: true })
    for (let age = filesMax - 1; age > 0; age--) {
      try {
        renameSync(name(age - 1), name(age))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }
}

const lostLine = (lines: number): string =>
  `${JSON.stringify({ level: 'error', time: Date.now(), lines, msg: 'log lines were lost here' })}\n`
