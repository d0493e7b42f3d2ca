import type { ByteSource } from './byte-source.ts'

/** Chunks before the sound: a handful of tags at most. */
const CHUNKS_MAX = 64
const FORMAT_BYTES_MIN = 16

/** Milliseconds of sound; undefined where the file does not say how it is to be played. */
export async function wavDuration(source: ByteSource): Promise<number | undefined> {
  let at = 12
  let bytesPerSecond = 0
  for (let chunk = 0; chunk < CHUNKS_MAX; chunk++) {
    const head = await source.read(at, 8)
    if (head.length < 8) return undefined
    const id = head.toString('latin1', 0, 4)
    const size = head.readUInt32LE(4)
    at += 8
    if (id === 'data') {
      // Recorders that could not go back left the size empty, or as large as it gets.
      const bytes = Math.min(size === 0 ? source.size : size, source.size - at)
      return bytesPerSecond === 0 ? undefined : (bytes / bytesPerSecond) * 1000
    }
    if (id === 'fmt ' && size >= FORMAT_BYTES_MIN) {
      const format = await source.read(at, FORMAT_BYTES_MIN)
      if (format.length < FORMAT_BYTES_MIN) return undefined
      bytesPerSecond = format.readUInt32LE(8)
    }
    // Chunks begin at even places.
    at += size + (size % 2)
  }
  return undefined
}
