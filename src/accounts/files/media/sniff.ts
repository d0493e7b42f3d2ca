/** What the first bytes of a file can tell. */
export type Container = 'jpeg' | 'png' | 'webp' | 'wav' | 'mp4' | 'webm' | 'mp3' | 'aac' | 'ogg'

/** From here on, more bytes would change nothing. */
export const SNIFFED_BYTES = 64

const ascii = (head: Uint8Array, at: number, length: number): string =>
  Buffer.from(head.subarray(at, at + length)).toString('latin1')

const hex = (head: Uint8Array, length: number): string =>
  Buffer.from(head.subarray(0, length)).toString('hex')

/** The signature of a PNG, and the header chunk that must follow it. */
const PNG = '89504e470d0a1a0a0000000d49484452'

/** Of ISO's base media files: films and sound. Pictures (`heic`, `avif`) have others. */
const brands = /^(isom|iso[2-9]|mp4[12]|avc1|M4[AVB] |f4v |dash|MSNV|msdh|qt {2}|3gp\d|3g2.)$/

/** By its signature; what a file is called, or said to be, counts for nothing. */
export function sniff(head: Uint8Array): Container | undefined {
  if (hex(head, 3) === 'ffd8ff') return 'jpeg'
  if (hex(head, 16) === PNG) return 'png'
  if (ascii(head, 0, 4) === 'RIFF') {
    const form = ascii(head, 8, 4)
    return form === 'WEBP' ? 'webp' : form === 'WAVE' ? 'wav' : undefined
  }
  if (ascii(head, 4, 4) === 'ftyp') return brands.test(ascii(head, 8, 4)) ? 'mp4' : undefined
  // Matroska begins so too: which of the two it is stands further behind.
  if (hex(head, 4) === '1a45dfa3') return 'webm'
  if (ascii(head, 0, 4) === 'OggS') return 'ogg'
  if (ascii(head, 0, 3) === 'ID3') return 'mp3'
  return sniffFrame(head)
}

/** Sound without a container: eleven or twelve bits that say that a frame begins, and its layer. */
function sniffFrame([first = 0, second = 0]: Uint8Array): Container | undefined {
  if (first !== 0xff) return undefined
  if ((second & 0xf6) === 0xf0) return 'aac'
  return (second & 0xe6) === 0xe2 ? 'mp3' : undefined
}
