import type { Row } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'

/** A disk whose writes wait until the test lets them go, or fail when it says so. */
export class StubBackend extends MemoryBackend {
  readonly writes: { rows: number; sync: boolean }[] = []
  /** While set, writes wait. */
  held = false
  /** The next write fails with this; `after`: the rows are there all the same. */
  failNext: { error: Error; rowsWritten: boolean } | undefined
  #release: (() => void)[] = []

  release(): void {
    this.held = false
    for (const go of this.#release.splice(0)) go()
  }

  override async write(rows: readonly Row[], sync = false): Promise<void> {
    this.writes.push({ rows: rows.length, sync })
    if (this.held) await new Promise<void>((resolve) => this.#release.push(resolve))
    const failure = this.failNext
    this.failNext = undefined
    if (failure === undefined || failure.rowsWritten) await super.write(rows)
    if (failure !== undefined) throw failure.error
  }
}
