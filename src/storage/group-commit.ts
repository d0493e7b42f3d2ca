import { BusyError } from '../base/errors.ts'
import type { Row } from './backend.ts'
import type { Batch } from './batch.ts'
import { StorageClosedError, StorageFailedError } from './errors.ts'

export interface GroupLimits {
  /** A group is written in one piece; a larger one would make every commit in it wait longer. */
  groupRowsMax: number
  groupBytesMax: number
  /** What may wait for the disk: beyond it the disk is too slow, and callers must hear that. */
  waitingCommitsMax: number
  waitingBytesMax: number
}

interface Commit {
  rows: readonly Row[]
  bytes: number
  resolve(): void
  reject(error: unknown): void
}

/**
 * Many commits, one fsync. One write is under way; what comes meanwhile gathers and is the next.
 * Commits are applied in the order in which they were asked for.
 */
export class GroupCommit {
  readonly #write: (rows: readonly Row[]) => Promise<void>
  readonly #limits: GroupLimits
  #waiting: Commit[] = []
  #waitingBytes = 0
  #running: Promise<void> | undefined
  #refusal: (() => Error) | undefined

  /** `write` resolves once all its rows are on the disk. */
  constructor(write: (rows: readonly Row[]) => Promise<void>, limits: GroupLimits) {
    this.#write = write
    this.#limits = limits
  }

  /** Resolves after the fsync that covers the batch. Once accepted it can't be taken back. */
  async commit(batch: Batch): Promise<void> {
    if (this.#refusal !== undefined) throw this.#refusal()
    // Whatever its size, one commit may always wait alone.
    const full =
      this.#waiting.length >= this.#limits.waitingCommitsMax ||
      (this.#waiting.length > 0 && this.#waitingBytes + batch.bytes > this.#limits.waitingBytesMax)
    if (full) throw new BusyError('The disk is behind with writing. Ask again in a second.')
    // Its last rows are made in here, and nothing may come between this and its place in the line.
    const rows = batch.seal()
    const { bytes } = batch
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ rows, bytes, resolve, reject })
      this.#waitingBytes += bytes
      this.#running ??= this.#run()
    })
    batch.written()
  }

  /** Refuses what comes from now on, and resolves when all that was accepted is settled. */
  async close(): Promise<void> {
    this.#refusal ??= () => new StorageClosedError()
    await this.#running
  }

  /** Refuses all later commits and those that wait: the disk failed. */
  fail(cause: unknown): void {
    this.#refusal = () => new StorageFailedError('no', cause)
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const commit of waiting) commit.reject(this.#refusal())
  }

  async #run(): Promise<void> {
    // Commits of the same tick share the first fsync as well.
    await null
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup()
      try {
        await this.#write(group.flatMap((commit) => commit.rows))
        for (const commit of group) commit.resolve()
      } catch (error) {
        for (const commit of group) commit.reject(error)
      }
    }
    this.#running = undefined
  }

  /** The oldest commits that fit into one group; at least one. */
  #nextGroup(): Commit[] {
    let rows = 0
    let bytes = 0
    let count = 0
    for (const commit of this.#waiting) {
      rows += commit.rows.length
      bytes += commit.bytes
      const fits = rows <= this.#limits.groupRowsMax && bytes <= this.#limits.groupBytesMax
      if (count > 0 && !fits) break
      count += 1
    }
    const group = this.#waiting.splice(0, count)
    for (const commit of group) this.#waitingBytes -= commit.bytes
    return group
  }
}
