import type { Backend, Row } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'

/** A disk that outlives the processes that write to it: what waits for it is gone with a crash. */
export class CrashDisk {
  readonly #rows = new MemoryBackend()
  #waiting: (() => void)[] = []
  #process = {}
  /** While set, writes wait for `sync`. */
  isSlow = false

  /** As a new process opens it; what the one before had not written is lost. */
  mount(): Backend {
    const process = {}
    this.#process = process
    this.#waiting = []
    const rows = this.#rows
    return {
      get: (key) => rows.get(key),
      getMany: (keys) => rows.getMany(keys),
      range: (range) => rows.range(range),
      write: async (changes: readonly Row[]) => {
        if (this.isSlow) await new Promise<void>((resolve) => this.#waiting.push(resolve))
        // Of a process that is gone nobody hears any more.
        if (this.#process !== process) await new Promise(() => {})
        await rows.write(changes)
      },
      close: async () => {},
    }
  }

  /** Writes what waits. */
  sync(): void {
    for (const write of this.#waiting.splice(0)) write()
  }
}
