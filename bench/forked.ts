import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A program of a bench in a process of its own. It ends once it is disconnected. */
export class Forked {
  readonly #child: ChildProcess

  constructor(program: URL, args: readonly string[] = [], execArgv: readonly string[] = []) {
    this.#child = fork(program, [...args], { execArgv: [...execArgv] })
  }

  /** What it says next; fails when it ends instead. */
  async hear<T>(): Promise<T> {
    const over = new AbortController()
    const ended = once(this.#child, 'exit', { signal: over.signal }).then(() => {
      throw new Error(`${this.#child.spawnargs.at(-1)} ended`)
    })
    try {
      const said = once(this.#child, 'message', { signal: over.signal })
      const [value] = await Promise.race([said, ended])
      return value
    } finally {
      over.abort()
      ended.catch(() => {})
    }
  }

  /** What it answers to that. */
  ask<T>(question: string | object): Promise<T> {
    const answer = this.hear<T>()
    this.#child.send(question)
    return answer
  }

  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}
