import { hash, randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ClassicLevel } from 'classic-level'
import { encodeEntries } from './entries.ts'

/** What an answer of an account puts into a peer's database: as many rows, and as many bytes. */
const ROWS = 10
const ROW_BYTES = 250
const KEY_BYTES = 40
/** Of an answer: that the work began, its receipt, and what was made of it. */
const SIGNATURES = 3
/** Of prompt, answer and request, of what is signed, and of two entries, with their places in the tree. */
const HASHES = 12
const HASHED_BYTES = 300

const value = randomBytes(ROW_BYTES)
const hashed = randomBytes(HASHED_BYTES)

/**
 * What proof of an answer cannot do without: its entries in their bytes, hashes and signatures, and its
 * rows on the disk, of all that came meanwhile at once, under one signature more. It reckons nothing.
 */
export class Proofs {
  readonly #db: ClassicLevel<Buffer, Buffer>
  readonly #signer = new Worker(new URL('./signer.ts', import.meta.url))
  #unsigned: (() => void)[] = []
  readonly #atSigner: (() => void)[][] = []
  #waiting: (() => void)[] = []
  #isWriting = false
  #count = 0

  private constructor(db: ClassicLevel<Buffer, Buffer>) {
    this.#db = db
    this.#signer.on('message', () => {
      for (const signed of this.#atSigner.shift() ?? []) signed()
    })
  }

  /** In a folder that is the system's to clear. */
  static async open(): Promise<Proofs> {
    const folder = join(await mkdtemp(join(tmpdir(), 'pinaivu-bench-proofs-')), 'db')
    const db = new ClassicLevel<Buffer, Buffer>(folder, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    })
    await db.open()
    return new Proofs(db)
  }

  /** Resolves once it is on the disk. */
  async prove(): Promise<void> {
    encodeEntries(`job_${++this.#count}`)
    for (let count = 0; count < HASHES; count++) hash('sha256', hashed, 'buffer')
    await this.#signed()
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push(resolve)
      if (!this.#isWriting) this.#write().catch(reject)
    })
  }

  /** All of a turn of the event loop together, in another thread. */
  #signed(): Promise<void> {
    return new Promise((resolve) => {
      this.#unsigned.push(resolve)
      if (this.#unsigned.length > 1) return
      setImmediate(() => {
        this.#atSigner.push(this.#unsigned)
        // One more for the head over all of them.
        this.#signer.postMessage(this.#unsigned.length * SIGNATURES + 1)
        this.#unsigned = []
      })
    })
  }

  async #write(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const proven = this.#waiting
      this.#waiting = []
      const rows = Array.from({ length: proven.length * ROWS }, () => ({
        ...{ type: 'put' as const, key: randomBytes(KEY_BYTES), value },
      }))
      await this.#db.batch(rows, { sync: true })
      for (const resolve of proven) resolve()
    }
    this.#isWriting = false
  }
}
