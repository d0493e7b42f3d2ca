/**
 * Finds the first of many strings in a stream of bytes, one look-up a byte however many strings
 * there are (Aho-Corasick). One table serves all choices of a job; a position in it is one number.
 */
export class StopStrings {
  readonly #next = new Map<number, number>()
  /** For each node: how many bytes of some stop string end here. */
  readonly #depth: number[] = [0]
  readonly #fail: number[] = [0]
  /** For each node: length of the longest stop string that ends here, or 0. */
  readonly #match: number[] = [0]

  static readonly start = 0

  constructor(stops: readonly string[]) {
    for (const stop of stops) this.#add(Buffer.from(stop))
    this.#link()
  }

  step(node: number, byte: number): number {
    let from = node
    for (;;) {
      const to = this.#next.get(from * 256 + byte)
      if (to !== undefined) return to
      if (from === 0) return 0
      from = this.#fail[from] ?? 0
    }
  }

  /** Bytes at the end of what was read that may still become a stop string. */
  held(node: number): number {
    return this.#depth[node] ?? 0
  }

  /** Length of the stop string that is complete here, or 0. */
  matched(node: number): number {
    return this.#match[node] ?? 0
  }

  #add(stop: Uint8Array): void {
    let node = 0
    for (const byte of stop) {
      const key = node * 256 + byte
      let to = this.#next.get(key)
      if (to === undefined) {
        to = this.#depth.length
        this.#next.set(key, to)
        this.#depth.push((this.#depth[node] ?? 0) + 1)
        this.#fail.push(0)
        this.#match.push(0)
      }
      node = to
    }
    if (node !== 0) this.#match[node] = stop.length
  }

  /** Breadth first, so that the node a node falls back to is finished before it. */
  #link(): void {
    const edges = [...this.#next].map(([key, node]) => ({
      parent: key >> 8,
      byte: key & 255,
      node,
    }))
    edges.sort((a, b) => this.held(a.node) - this.held(b.node))
    for (const { parent, byte, node } of edges) {
      const fail = parent === 0 ? 0 : this.step(this.#fail[parent] ?? 0, byte)
      this.#fail[node] = fail
      this.#match[node] = Math.max(this.matched(node), this.matched(fail))
    }
  }
}
