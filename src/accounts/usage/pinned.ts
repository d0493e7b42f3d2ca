interface Slot<T> {
  key: string
  item: T
  pins: number
  /** Since the hand came by. */
  wasUsed: boolean
}

/**
 * Things that are read from the disk and written back: one that is pinned is the same for all who
 * use it. Of the others, those that were not used for long make room.
 */
export class Pinned<T> {
  readonly #limit: number
  readonly #byKey = new Map<string, Slot<T>>()
  readonly #slots: Slot<T>[] = []
  #hand = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#slots.length
  }

  /** `leave` is called once. */
  pin(key: string, make: () => T): { item: T; leave: () => void } {
    const slot = this.#byKey.get(key) ?? this.#add(key, make())
    slot.pins += 1
    slot.wasUsed = true
    const leave = () => {
      slot.pins -= 1
    }
    return { item: slot.item, leave }
  }

  /** Whoever comes next gets another. */
  forget(key: string): void {
    this.#byKey.delete(key)
  }

  #add(key: string, item: T): Slot<T> {
    const slot: Slot<T> = { key, item, pins: 0, wasUsed: true }
    const free = this.#slots.length < this.#limit ? undefined : this.#freeAt()
    const old = free === undefined ? undefined : this.#slots[free]
    if (free === undefined || old === undefined) this.#slots.push(slot)
    else {
      if (this.#byKey.get(old.key) === old) this.#byKey.delete(old.key)
      this.#slots[free] = slot
    }
    this.#byKey.set(key, slot)
    return slot
  }

  /** Undefined where all are pinned: then there are more of them than the limit. */
  #freeAt(): number | undefined {
    for (let n = 0; n < 2 * this.#slots.length; n++) {
      const at = this.#hand
      this.#hand = (at + 1) % this.#slots.length
      const slot = this.#slots[at]
      if (slot === undefined || slot.pins > 0) continue
      if (!slot.wasUsed) return at
      slot.wasUsed = false
    }
    return undefined
  }
}
