import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'

/** What an answer of an account puts into a peer's database: as many rows, and as many bytes. */
const ROWS = 16
const ROW_BYTES = 210
const KEY_BYTES = 40
/** Of an answer: that the work began, its receipt, and what was made of it. */
const SIGNATURES = 3

const { privateKey } = generateKeyPairSync('ed25519')
const signed = Buffer.alloc(32)
const value = randomBytes(ROW_BYTES)

/**
 * What proof of an answer cannot do without: its signatures, and its rows on the disk, of all that
 * came meanwhile at once, under one signature more. No hash, no encoding, no ledger.
 */
export class Proofs {
  readonly #db: ClassicLevel<Buffer, Buffer>
  #waiting: (() => void)[] = []
  #isWriting = false

  private constructor(db: ClassicLevel<Buffer, Buffer>) {
    this.#db = db
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
  prove(): Promise<void> {
    for (let count = 0; count < SIGNATURES; count++) sign(null, signed, privateKey)
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve)
      if (!this.#isWriting) this.#write().catch(reject)
    })
  }

  async #write(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const proven = this.#waiting
      this.#waiting = []
      sign(null, signed, privateKey)
      const rows = Array.from({ length: proven.length * ROWS }, () => ({
        ...{ type: 'put' as const, key: randomBytes(KEY_BYTES), value },
      }))
      await this.#db.batch(rows, { sync: true })
      for (const resolve of proven) resolve()
    }
    this.#isWriting = false
  }
}
