import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A case as in the files of vectors, and which protocol it is of. */
export interface DoubtfulCase {
  protocol: string
  message: string
  hex: string
}

export const hasPython = spawnSync('python3', ['--version']).status === 0
if (!hasPython)
  console.warn('There is no python3 on this machine: the second reader was not asked.')

/** A backup, and what opens it. */
export interface DoubtfulBackup {
  protocol: 'backup'
  hex: string
  passphrase: string
}

/** The reader of protocols/reader, as one process that is asked again and again. */
export class SecondReader {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #verdicts: AsyncIterator<string>
  #complaints = ''

  constructor() {
    this.#child = spawn('python3', ['protocols/reader/verdicts.py'])
    this.#child.stderr.on('data', (data) => {
      this.#complaints += data
    })
    // A write to one that broke is told by its verdict, which does not come.
    this.#child.stdin.on('error', () => undefined)
    this.#verdicts = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /**
   * `good`, or the code of the refusal. Of a file also what nobody signed: `good ["model"]`. One
   * question at a time.
   */
  async verdict(doubtful: DoubtfulCase | DoubtfulBackup | { file: string }): Promise<string> {
    this.#child.stdin.write(`${JSON.stringify(doubtful)}\n`)
    const { value, done } = await this.#verdicts.next()
    if (done) throw new Error(`The second reader broke: ${this.#complaints}`)
    return value
  }

  /** What nobody signed of a file; undefined where it is refused. */
  async unsignedOf(file: string): Promise<string[] | undefined> {
    const verdict = await this.verdict({ file })
    return verdict.startsWith('good ') ? JSON.parse(verdict.slice('good '.length)) : undefined
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'close')
    this.#child.stdin.end()
    await ended
  }
}
