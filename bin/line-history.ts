import { constants, open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const fileName = 'chat-history'
const ownerOnly = 0o600

export const historyLimits = {
  lines: 1000,
  /** All of them, in UTF-8. */
  bytes: 256 * 1024,
  /** A longer one was pasted, and is nothing to type again. */
  lineChars: 4096,
}

// What a terminal would obey instead of showing: the file may have been written by anybody.
const commands = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u

/** Whether a line is to be had again. As in a shell, one that begins with a space is a secret. */
export const isKept = (line: string): boolean =>
  line.trim() !== '' &&
  !line.startsWith(' ') &&
  line.length <= historyLimits.lineChars &&
  !commands.test(line)

/** The newest that the limits have room for, the oldest first; the same twice in a row is once. */
export function boundedLines(lines: readonly string[]): string[] {
  const distinct = lines.filter(isKept).filter((line, at, kept) => line !== kept[at - 1])
  let bytes = 0
  let first = distinct.length
  while (first > 0 && distinct.length - first < historyLimits.lines) {
    bytes += Buffer.byteLength(distinct[first - 1] ?? '') + 1
    if (bytes > historyLimits.bytes) break
    first -= 1
  }
  return distinct.slice(first)
}

/** The lines that were typed, in a file of the data folder that several chats may write. */
export class LineHistory {
  readonly #path: string
  /** Not written yet. */
  #added: readonly string[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(dataDir: string) {
    this.#path = join(dataDir, fileName)
  }

  /** The oldest first. */
  async read(): Promise<string[]> {
    try {
      // Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
      await using file = await open(this.#path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
      const stat = await file.stat()
      if (!stat.isFile()) throw new Error(`${this.#path} is not a file.`)
      // We never write such a one.
      if (stat.size > 2 * historyLimits.bytes) return []
      return boundedLines((await file.readFile('utf8')).split('\n'))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
      throw error
    }
  }

  /** Resolves when it is on the disk, with those that could not be written before. */
  add(line: string): Promise<void> {
    // Another list: the one before may be on its way to the disk.
    this.#added = boundedLines([...this.#added, line])
    const written = this.#writing.then(() => this.#write())
    this.#writing = written.catch(() => {})
    return written
  }

  /** Resolves when nothing is being written any more. */
  settled(): Promise<void> {
    return this.#writing
  }

  /** With what other chats have added meanwhile. Renamed into its place: a reader sees all or none. */
  async #write(): Promise<void> {
    const added = this.#added
    if (added.length === 0) return
    const lines = boundedLines([...(await this.read()), ...added])
    const fresh = `${this.#path}.${process.pid}.tmp`
    await rm(fresh, { force: true })
    try {
      await writeFile(fresh, `${lines.join('\n')}\n`, { mode: ownerOnly, flag: 'wx' })
      await rename(fresh, this.#path)
    } catch (error) {
      // Of a full disk it is given back.
      await rm(fresh, { force: true })
      throw error
    }
    this.#added = this.#added.filter((line) => !added.includes(line))
  }
}
