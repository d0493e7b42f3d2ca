import type { Directory, DirectoryChange, DirectoryEntry } from './directory.ts'

type Listener = (change: DirectoryChange) => void

/** What is asked for again and again is put together once, until an entry in it is replaced. */
export class MemoryDirectory implements Directory {
  readonly #entries = new Map<string, DirectoryEntry>()
  readonly #byId = new Groups()
  readonly #byName = new Groups()
  readonly #listeners = new Set<Listener>()
  #all: readonly DirectoryEntry[] | undefined
  #names: ReadonlyMap<string, ReadonlySet<string>> | undefined

  get size(): number {
    return this.#entries.size
  }

  all(): readonly DirectoryEntry[] {
    this.#all ??= [...this.#entries.values()]
    return this.#all
  }

  get(peerId: string): DirectoryEntry | undefined {
    return this.#entries.get(peerId)
  }

  byModelId(id: string): readonly DirectoryEntry[] {
    return this.#byId.list(id)
  }

  byModelName(name: string): readonly DirectoryEntry[] {
    return this.#byName.list(name)
  }

  modelNames(): ReadonlyMap<string, ReadonlySet<string>> {
    this.#names ??= namesOf(this.#entries.values())
    return this.#names
  }

  /** Adds an entry, or puts it in the place of the peer's older one. */
  put(entry: DirectoryEntry): void {
    const { peerId } = entry
    const previous = this.#entries.get(peerId)
    if (previous?.advert !== entry.advert) {
      if (previous !== undefined) this.#unlist(previous)
      this.#names = undefined
    }
    this.#entries.set(peerId, entry)
    for (const { id, name } of entry.advert.models) {
      this.#byId.put(id, entry)
      this.#byName.put(name, entry)
    }
    this.#changed({ peerId, entry, previous })
  }

  /** Changes what is known of a peer; does nothing when it is not listed. */
  update(peerId: string, fields: Partial<Omit<DirectoryEntry, 'peerId'>>): void {
    const entry = this.#entries.get(peerId)
    if (entry !== undefined) this.put({ ...entry, ...fields })
  }

  remove(peerId: string): DirectoryEntry | undefined {
    const previous = this.#entries.get(peerId)
    if (previous === undefined) return undefined
    this.#entries.delete(peerId)
    this.#unlist(previous)
    this.#names = undefined
    this.#changed({ peerId, entry: undefined, previous })
    return previous
  }

  /** Returns how to end that. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #unlist({ peerId, advert }: DirectoryEntry): void {
    for (const { id, name } of advert.models) {
      this.#byId.remove(id, peerId)
      this.#byName.remove(name, peerId)
    }
  }

  #changed(change: DirectoryChange): void {
    this.#all = undefined
    for (const listener of this.#listeners) listener(change)
  }
}

const NOBODY: readonly DirectoryEntry[] = []

interface Group {
  members: Map<string, DirectoryEntry>
  list: readonly DirectoryEntry[] | undefined
}

/** Entries under a key, such as the id of a model. */
class Groups {
  readonly #groups = new Map<string, Group>()

  list(key: string): readonly DirectoryEntry[] {
    const group = this.#groups.get(key)
    if (group === undefined) return NOBODY
    group.list ??= [...group.members.values()]
    return group.list
  }

  put(key: string, entry: DirectoryEntry): void {
    const group = this.#groups.get(key) ?? { members: new Map(), list: undefined }
    group.members.set(entry.peerId, entry)
    group.list = undefined
    this.#groups.set(key, group)
  }

  remove(key: string, peerId: string): void {
    const group = this.#groups.get(key)
    if (group === undefined) return
    group.members.delete(peerId)
    group.list = undefined
    if (group.members.size === 0) this.#groups.delete(key)
  }
}

function namesOf(entries: Iterable<DirectoryEntry>): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>()
  for (const { advert } of entries) {
    for (const { name, id } of advert.models) {
      const ids = names.get(name) ?? new Set()
      names.set(name, ids.add(id))
    }
  }
  return names
}
