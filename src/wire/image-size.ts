import { imageTypeOf } from './image-type.ts'
import type { ImageType } from './images.ts'

type Size = readonly [width: number, height: number]

/**
 * As many as it has once it is decoded, by its own head: a file of a kilobyte may say some billions, and
 * some servers make room for them. Undefined where the head is not whole.
 */
export function pixelsOf(file: Uint8Array): number | undefined {
  const type = imageTypeOf(file)
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  try {
    const [width, height] = (type && readers[type](view)) ?? [0, 0]
    return width * height || undefined
  } catch (error) {
    // It ends before its size.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const readers: Readonly<Record<ImageType, (view: DataView) => Size | undefined>> = {
  'image/png': (view) =>
    wordAt(view, 12) === 'IHDR' ? [view.getUint32(16), view.getUint32(20)] : undefined,
  'image/gif': (view) => [view.getUint16(6, true), view.getUint16(8, true)],
  'image/webp': webpSize,
  'image/jpeg': jpegSize,
}

const wordAt = (view: DataView, at: number): string =>
  String.fromCharCode(...[0, 1, 2, 3].map((offset) => view.getUint8(at + offset)))

/** By its first chunk: lossy, lossless, or of several parts. */
function webpSize(view: DataView): Size | undefined {
  const threeBytes = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 2 ** 16
  switch (wordAt(view, 12)) {
    case 'VP8 ':
      return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff]
    case 'VP8L': {
      const bits = view.getUint32(21, true)
      return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1]
    }
    case 'VP8X':
      return [threeBytes(24) + 1, threeBytes(27) + 1]
    default:
      return undefined
  }
}

/** In its first frame header; what lies between two segments is passed over, as decoders do. */
function jpegSize(view: DataView): Size | undefined {
  for (let at = 2; ; ) {
    while (view.getUint8(at) !== 0xff) at++
    while (view.getUint8(at) === 0xff) at++
    const marker = view.getUint8(at++)
    if (marker === END_OF_IMAGE || marker === START_OF_SCAN) return undefined
    if (isFrame(marker)) return [view.getUint16(at + 5), view.getUint16(at + 3)]
    if (!isBare(marker)) at += view.getUint16(at)
  }
}

const END_OF_IMAGE = 0xd9
const START_OF_SCAN = 0xda

/** SOF0 to SOF15, without the tables and the extension between them. */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/** Without a segment behind it. */
const isBare = (marker: number): boolean => marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)
