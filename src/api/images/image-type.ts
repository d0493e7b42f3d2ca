import { sniff } from '../../accounts/files/media/sniff.ts'
import type { ImageType } from '../../wire/images.ts'

const types: Readonly<Record<string, ImageType>> = {
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
}

/** By its signature; what it is called, or said to be, counts for nothing. Undefined for all else. */
export function imageType(bytes: Uint8Array): ImageType | undefined {
  if (/^GIF8[79]a/.test(Buffer.from(bytes.subarray(0, 6)).toString('latin1'))) return 'image/gif'
  return types[sniff(bytes) ?? '']
}
