import { type Backend, type KeyRange, MemoryBackend, type Row } from '../../src/simulation.ts'
import type { Dice } from './dice.ts'
import { never, type PeerClock } from './peer-clock.ts'

/** What is on the disk of one peer, over all its restarts. */
export class Disk {
  readonly #rows = new MemoryBackend()
  /** How to take back, the last first, what no fsync has covered yet. */
  #unsynced: Row[][] = []
  /** What is being written with an fsync: a crash may come before or after. */
  #underWay: readonly Row[] | undefined
  /** One fsync; a slow disk takes longer. */
  syncMs = 2

  /** For the next start of the peer. */
  open(clock: PeerClock): Backend {
    return new OpenDisk(this, clock)
  }

  get rows(): MemoryBackend {
    return this.#rows
  }

  begin(rows: readonly Row[]): void {
    this.#underWay = rows
  }

  async apply(rows: readonly Row[], isSynced: boolean): Promise<void> {
    this.#underWay = undefined
    const before: Row[] = []
    if (!isSynced) for (const { key } of rows) before.unshift(await this.#rowAt(key))
    await this.#rows.write(rows)
    if (isSynced) this.#unsynced = []
    else this.#unsynced.push(before)
  }

  /** The end of a process; that of its machine takes the last of what was not synced with it. */
  async crash(dice: Dice, { isMachine }: { isMachine: boolean }): Promise<void> {
    const lost = isMachine ? this.#unsynced.splice(dice.below(this.#unsynced.length + 1)) : []
    for (const before of lost.toReversed()) await this.#rows.write(before)
    const underWay = this.#underWay
    this.#underWay = undefined
    if (underWay !== undefined && dice.chance(0.5)) await this.#rows.write(underWay)
  }

  async #rowAt(key: Uint8Array): Promise<Row> {
    const value = await this.#rows.get(key)
    return value === undefined ? { type: 'del', key } : { type: 'put', key, value }
  }
}

/** The disk as one process has it: what that has not seen written is not written after its end. */
class OpenDisk implements Backend {
  readonly #disk: Disk
  readonly #clock: PeerClock
  /** Writers come one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor(disk: Disk, clock: PeerClock) {
    this.#disk = disk
    this.#clock = clock
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#disk.rows.get(key)
  }

  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#disk.rows.getMany(keys)
  }

  range(range: KeyRange): AsyncIterable<[Uint8Array, Uint8Array]> {
    return this.#disk.rows.range(range)
  }

  write(rows: readonly Row[], sync: boolean): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#clock.hasEnded) await never()
      if (sync) {
        this.#disk.begin(rows)
        await new Promise<void>((resolve) => this.#clock.after(this.#disk.syncMs, resolve))
      }
      await this.#disk.apply(rows, sync)
    })
    return this.#turn
  }

  close(): Promise<void> {
    return this.#turn
  }
}
