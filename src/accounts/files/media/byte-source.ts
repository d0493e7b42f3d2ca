/** The bytes of a file, as far as somebody asks for them. */
export interface ByteSource {
  size: number
  /** Fewer than asked for at the end of the file. */
  read(at: number, length: number): Promise<Buffer>
}

/** Pieces that are read one after the other come from the disk in windows of this many bytes. */
const WINDOW_BYTES = 64 * 1024

/** The same bytes, for a reader that goes forward in small steps. */
export function inWindows(source: ByteSource): ByteSource {
  let start = 0
  let window: Buffer = Buffer.alloc(0)
  return {
    size: source.size,
    async read(at, length) {
      if (length > WINDOW_BYTES) return source.read(at, length)
      if (at < start || at + length > start + window.length) {
        window = await source.read(at, WINDOW_BYTES)
        start = at
      }
      return window.subarray(at - start, at - start + length)
    },
  }
}
