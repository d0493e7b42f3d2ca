import type { ImageType } from './images.ts'

/** So many bytes say what an image is. */
const HEAD_BYTES = 12

const signatures: readonly [type: ImageType, pattern: RegExp][] = [
  ['image/png', /^\x89PNG\r\n\x1a\n/],
  ['image/jpeg', /^\xff\xd8\xff/],
  ['image/webp', /^RIFF[^]{4}WEBP/],
  ['image/gif', /^GIF8[79]a/],
]

/** By its signature; what it is called, or said to be, counts for nothing. Undefined for all else. */
export function imageTypeOf(file: Uint8Array): ImageType | undefined {
  const head = Buffer.from(file.subarray(0, HEAD_BYTES)).toString('latin1')
  return signatures.find(([, pattern]) => pattern.test(head))?.[0]
}
