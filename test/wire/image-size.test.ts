import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pixelsOf } from '../../src/wire/image-size.ts'
import { imageTypeOf } from '../../src/wire/image-type.ts'

/** Each of 5 by 3, as a browser writes it, without its profiles; of the JPEG, all before its image. */
const written: [kind: string, base64: string][] = [
  ['png', 'iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAYAAABbNsX4AAAAJklEQVR4AXzIsQkAAAgDQXEOsc4YjuZ2riWk'],
  [
    'jpeg',
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsj' +
      'HBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo' +
      'KCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/wAARCAADAAUDASIAAhEBAxEB',
  ],
  [
    'webp, lossy',
    'UklGRkQCAABXRUJQVlA4ID4AAABwAQCdASoFAAMAAsBMJbACdAFAAAD+7ZA7XHm4eK5giAhP/HvgPEY8vgeV/03O' +
      '//1OTLN/1RpV/P/5N/qAAA==',
  ],
  ['webp, lossless', 'UklGRgwCAABXRUJQVlA4TB4AAAAvBIAAEBcgkE3xF0dzPCgDFPAjBAJJ+0uMHdH/gAM='],
  ['webp, of parts', 'UklGRkQCAABXRUJQVlA4WAoAAAAwAAAABAAAAgAA'],
  ['gif', Buffer.from('474946383961050003000000003b', 'hex').toString('base64')],
]

const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))

describe('the pixels of an image', () => {
  it.each(written)('are those of its head: %s', (_kind, base64) => {
    expect(pixelsOf(bytesOf(base64))).toBe(15)
  })

  it.each(written)('are unknown where that is not whole: %s', (kind, base64) => {
    const whole = bytesOf(base64)
    const known = [...whole.keys()].filter((end) => pixelsOf(whole.subarray(0, end)) !== undefined)
    // From some length on, and never before.
    expect(known).toEqual([...whole.keys()].slice(whole.length - known.length))
    expect(known.length, kind).toBeLessThan(whole.length - 9)
  })

  it('of a JPEG are found behind whatever decoders pass over', () => {
    const [, [, base64] = ['', '']] = written
    const jpeg = Buffer.from(base64, 'base64')
    // Behind its first segment: what is nothing, bare markers, and a table that looks like a frame.
    const between = Buffer.from('000102 ffff01 ff00 ffd0 ffc40004ffc0'.replaceAll(' ', ''), 'hex')
    const [first, rest] = [jpeg.subarray(0, 20), jpeg.subarray(20)]
    expect(pixelsOf(Buffer.concat([first, between, rest]))).toBe(15)
    expect(pixelsOf(Buffer.concat([first, between]))).toBeUndefined()
  })

  it('are none of anything else, and nothing makes it fail', () => {
    const heads = written.map(([, base64]) => bytesOf(base64).subarray(0, 16))
    const file = fc.tuple(fc.constantFrom(new Uint8Array(), ...heads), fc.uint8Array())
    fc.assert(
      fc.property(file, (parts) => {
        const bytes = Buffer.concat(parts)
        const pixels = pixelsOf(bytes)
        if (imageTypeOf(bytes) === undefined) expect(pixels).toBeUndefined()
        else expect(pixels === undefined || pixels > 0).toBe(true)
      }),
    )
  })
})
