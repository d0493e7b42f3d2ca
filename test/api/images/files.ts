import type { ImageType } from '../../../src/wire/images.ts'

const bytes = (hex: string, more = 100): Buffer =>
  Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.alloc(more, 7)])

/** What begins like a file of each kind, of 2 by 3: nobody here looks further. */
export const files: Readonly<Record<ImageType, Buffer>> = {
  'image/png': bytes('89504e47 0d0a1a0a 0000000d 49484452 00000002 00000003'),
  'image/jpeg': bytes('ffd8ffe0 0004 4a46 ffc0 0011 08 0003 0002'),
  'image/webp': bytes('52494646 10000000 57454250 56503858 0a000000 00000000 010000 020000'),
  'image/gif': bytes('474946383961 0200 0300', 3),
}

export const dataUrl = (file: Buffer, type = 'image/png'): string =>
  `data:${type};base64,${file.toString('base64')}`
