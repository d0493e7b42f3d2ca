import type { Chunk } from '../../../wire/chunk.ts'
import type { FromEngine } from '../ipc.ts'

export type Send = (message: FromEngine) => void

/** The peer ends a process that says more than 2,000 characters of a failure. */
const MESSAGE_LENGTH_MAX = 1000

/** Gathers the chunks of one tick into one message. */
export class Outbox {
  readonly #send: Send
  #chunks: [run: number, chunk: Chunk][] = []

  constructor(send: Send) {
    this.#send = send
  }

  add(run: number, chunk: Chunk): void {
    this.#chunks.push([run, chunk])
  }

  flush(): void {
    if (this.#chunks.length === 0) return
    const chunks = this.#chunks
    this.#chunks = []
    this.#send({ type: 'chunks', chunks })
  }

  /** What was said before comes first. */
  send(message: FromEngine): void {
    this.flush()
    this.#send(message)
  }

  fail(run: number, code: string, message: string, param?: string): void {
    this.send({
      type: 'run-failed',
      run,
      code,
      message: message.slice(0, MESSAGE_LENGTH_MAX),
      ...(param === undefined ? {} : { param }),
    })
  }
}
