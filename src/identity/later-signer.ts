import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../base/clock.ts'
import type { Sign } from '../wire/signed.ts'
import type { Unsigned } from './signing-thread.ts'

/** Of fewer it takes longer to wake the thread than to sign: each takes about 30 µs. */
export const WORTH_A_THREAD = 3
const SIGNATURE_BYTES = 64
/** While the thread signs these, this one works on others: together they must not all wait. */
export const GROUP_MAX = 48

/** It does nothing but sign; more than this would be a fault. */
const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 }

export const defaultLaterSigner = {
  /** Threads run in real time, whatever time is for the peer. */
  clock: systemClock,
  /** A thousand signatures take 30 ms: a thread that says nothing for so long does not sign any more. */
  deadlineMs: 3_000,
  entry: join(
    import.meta.dirname,
    import.meta.filename.endsWith('.ts') ? 'signing-thread.ts' : 'signing-thread.js',
  ),
}

/** In the place of one that did not sign. Where all of them don't, it is this machine that has no threads. */
const REPLACEMENTS_MAX = 3

interface Waiting {
  message: Uint8Array
  resolve(signature: Uint8Array): void
}

/**
 * Signs in another thread, where there is much: all that comes within a turn of the event loop at once,
 * and what comes while the thread is busy. Answers that were signed together are also written
 * together, with one fsync.
 */
export class LaterSigner {
  readonly #sign: Sign
  /** PKCS #8 in DER. */
  readonly #key: Uint8Array
  readonly #options: typeof defaultLaterSigner
  #waiting: Waiting[] = []
  /** What the thread has. */
  #sent: Waiting[] | undefined
  #thread: Worker | undefined
  #lost = 0
  #noDeadline = () => {}

  constructor(sign: Sign, key: Uint8Array, options = defaultLaterSigner) {
    this.#sign = sign
    this.#key = key
    this.#options = options
  }

  sign(message: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve) => {
      this.#waiting.push({ message, resolve })
      if (this.#waiting.length === 1) setImmediate(() => this.#flush())
      else if (this.#waiting.length >= GROUP_MAX) this.#flush()
    })
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#sent === undefined) {
      const group = this.#waiting.splice(0, GROUP_MAX)
      if (group.length < WORTH_A_THREAD || this.#lost > REPLACEMENTS_MAX) this.#signHere(group)
      else this.#send(group)
    }
  }

  #signHere(group: readonly Waiting[]): void {
    for (const { message, resolve } of group) resolve(this.#sign(message))
  }

  #send(group: Waiting[]): void {
    this.#thread ??= this.#launch()
    const ends: number[] = []
    let size = 0
    for (const { message } of group) {
      size += message.length
      ends.push(size)
    }
    const bytes = new Uint8Array(size)
    for (const [at, { message }] of group.entries()) bytes.set(message, ends[at - 1] ?? 0)
    this.#sent = group
    this.#await(group)
    this.#thread.ref()
    this.#thread.postMessage({ bytes, ends } satisfies Unsigned, [bytes.buffer])
  }

  #launch(): Worker {
    const thread = new Worker(this.#options.entry, { workerData: this.#key, resourceLimits })
    thread.on('message', (signatures: Uint8Array) => {
      if (thread === this.#thread) this.#took(signatures)
    })
    thread.on('error', () => this.#lose(thread))
    thread.on('exit', () => this.#lose(thread))
    return thread
  }

  #await(group: readonly Waiting[]): void {
    const { clock, deadlineMs } = this.#options
    this.#noDeadline = clock.after(deadlineMs, () => {
      // What has come while this thread was held up is heard first.
      setImmediate(() => {
        const thread = this.#thread
        if (group !== this.#sent || thread === undefined) return
        this.#lose(thread)
        thread.terminate().catch(() => {})
      })
    })
  }

  #took(signatures: Uint8Array): void {
    const group = this.#sent ?? []
    this.#sent = undefined
    this.#noDeadline()
    // It holds no process that waits for nothing.
    this.#thread?.unref()
    this.#flush()
    for (const [at, { resolve }] of group.entries()) {
      resolve(signatures.slice(SIGNATURE_BYTES * at, SIGNATURE_BYTES * (at + 1)))
    }
  }

  /** All that it had is signed here; what comes is for another, or is signed here too. */
  #lose(thread: Worker): void {
    if (thread !== this.#thread) return
    this.#thread = undefined
    this.#lost++
    this.#noDeadline()
    thread.unref()
    const group = this.#sent ?? []
    this.#sent = undefined
    this.#signHere(group)
    this.#flush()
  }
}
