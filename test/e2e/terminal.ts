import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { program } from './peer-process.ts'

export const hasPython = spawnSync('python3', ['--version']).status === 0
if (!hasPython) console.warn('There is no python3 on this machine: no terminal was tried.')

const bridge = fileURLToPath(new URL('terminal.py', import.meta.url))
const size = { rows: '24', columns: '80' }

/** The program in a pseudo-terminal of its own, as a person has it. */
export class Terminal {
  /** All that was shown. */
  text = ''
  /** The exit code. */
  readonly ended: Promise<number | null>
  readonly #child
  #at = 0
  #look = () => {}

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(
      'python3',
      [bridge, size.rows, size.columns, process.execPath, program, ...args],
      { env: { PATH: process.env.PATH ?? '', TERM: 'xterm-256color', ...env } },
    )
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output.setEncoding('utf8').on('data', (piece: string) => {
        this.text += piece
        this.#look()
      })
    }
    this.ended = new Promise((resolve) => this.#child.once('close', resolve))
    void this.ended.then(() => this.#look())
  }

  type(text: string): void {
    this.#child.stdin.write(text)
  }

  /** What is shown up to and with `wanted`, from where the last call ended. */
  until(wanted: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        const found = this.text.indexOf(wanted, this.#at)
        if (found < 0 && this.#child.exitCode === null) return
        if (found < 0) {
          reject(new Error(`${JSON.stringify(wanted)} was never shown:\n${this.text}`))
          return
        }
        const from = this.#at
        this.#at = found + wanted.length
        this.#look = () => {}
        resolve(this.text.slice(from, this.#at))
      }
      this.#look()
    })
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
