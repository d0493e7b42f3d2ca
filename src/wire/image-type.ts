import type { ImageType } from './images.ts'

/** So many bytes say what an image is. */
const HEAD_BYTES = 12

/** In hex. */
const signatures: readonly [type: ImageType, pattern: RegExp][] = [
  ['image/png', /^89504e470d0a1a0a/],
  ['image/jpeg', /^ffd8ff/],
  // RIFF, a length, WEBP.
  ['image/webp', /^52494646.{8}57454250/],
  // GIF87a and GIF89a.
  ['image/gif', /^47494638(37|39)61/],
]

/** By its signature; what it is called, or said to be, counts for nothing. Undefined for all else. */
export function imageTypeOf(file: Uint8Array): ImageType | undefined {
  const head = Buffer.from(file.subarray(0, HEAD_BYTES)).toString('hex')
  return signatures.find(([, pattern]) => pattern.test(head))?.[0]
}
