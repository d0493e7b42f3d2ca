import type { ImageType } from '../../../src/wire/images.ts'

const bytes = (hex: string, more = 100): Buffer =>
  Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.alloc(more, 7)])

/** What begins like a file of each kind: nobody here looks further. */
export const files: Readonly<Record<ImageType, Buffer>> = {
  'image/png': bytes('89504e47 0d0a1a0a 0000000d 49484452'),
  'image/jpeg': bytes('ffd8ffe0'),
  'image/webp': bytes('52494646 10000000 57454250'),
  'image/gif': Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(9)]),
}

export const dataUrl = (file: Buffer, type = 'image/png'): string =>
  `data:${type};base64,${file.toString('base64')}`
