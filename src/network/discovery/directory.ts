import type { Advert } from '../../wire/advert.ts'
import type { Status } from '../../wire/status.ts'

/** A peer that said itself that it is there, and what this peer has measured of it. */
export interface DirectoryEntry {
  readonly peerId: string
  readonly advert: Advert
  /** Undefined while it is not watched. */
  readonly status: Status | undefined
  /** `clock.elapsed()` when it was last heard of, by itself and live. */
  readonly heardAt: number
  readonly connected: boolean
  readonly rttMs: number | undefined
  /** The part of the internet where it was when it came: what one operator has is in few of them. */
  readonly net?: string
}

/** The peers that this one could use, in memory. Every look-up is by index. */
export interface Directory {
  all(): readonly DirectoryEntry[]
  get(peerId: string): DirectoryEntry | undefined
  /** Those that advertise a model of this id. */
  byModelId(id: string): readonly DirectoryEntry[]
  /** Those that advertise a model of this name. */
  byModelName(name: string): readonly DirectoryEntry[]
  /** Name → ids that go by it. */
  modelNames(): ReadonlyMap<string, ReadonlySet<string>>
}

/** Entries are replaced, never changed. */
export interface DirectoryChange {
  readonly peerId: string
  /** Undefined when the peer has left. */
  readonly entry: DirectoryEntry | undefined
  /** Undefined when it has come. */
  readonly previous: DirectoryEntry | undefined
}

/** Of a peer that looks for nobody. */
export const emptyDirectory: Directory = {
  all: () => [],
  get: () => undefined,
  byModelId: () => [],
  byModelName: () => [],
  modelNames: () => new Map(),
}
