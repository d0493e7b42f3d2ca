import { PinaivuError } from './pinaivu-error.ts'

/** All pieces as one, if they are not too many bytes. */
export async function blobOf(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
  type = '',
): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for await (const piece of pieces) {
    bytes += piece.length
    if (bytes > bytesMax) {
      throw new PinaivuError('too_many_bytes', `There are more than ${bytesMax} bytes.`)
    }
    parts.push(new Uint8Array(piece))
  }
  return new Blob(parts, { type })
}
