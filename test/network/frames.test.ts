import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameDecoder, joinFrames } from '../../src/network/host/frame-codec.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'

function decoded(chunks: readonly Uint8Array[]) {
  const decoder = new FrameDecoder()
  const frames: Uint8Array[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame)
  }
  return { frames, decoder }
}

const frame = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 300 }),
  fc.constantFrom(127, 128, 16_383, 16_384, FRAME_BYTES_MAX).map((size) => filled(size)),
)

function filled(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => index)
}

test('however the bytes are cut, the same frames come out', () => {
  const cuts = fc.array(fc.nat({ max: 5_000 }), { maxLength: 20 })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), cuts, (frames, at) => {
      const bytes = joinFrames(frames)
      const ends = [...at.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b)]
      const chunks = [0, ...ends].map((begin, index) => bytes.subarray(begin, ends[index]))
      const { frames: out, decoder } = decoded(chunks)
      expect(out).toEqual(frames)
      expect(decoder.isWithinFrame).toBe(false)
    }),
  )
})

test('each frame may come in a piece of its own, small and large in any order', () => {
  const sizes = fc.array(fc.constantFrom(1, 100, 1_021, 1_022, 3_000, 4_000, 4_093, 4_094, 20_000))
  fc.assert(
    fc.property(sizes, (lengths) => {
      const frames = lengths.map((length) => filled(length))
      expect(decoded(frames.map((each) => joinFrames([each]))).frames).toEqual(frames)
    }),
  )
})

test('a frame of the largest size comes byte by byte, one more byte is refused', () => {
  const largest = filled(FRAME_BYTES_MAX)
  const bytes = joinFrames([largest])
  const { frames } = decoded(Array.from(bytes, (byte) => Uint8Array.of(byte)))
  expect(frames).toEqual([largest])
})

test.each([
  ['of 64 KiB and one byte', [0x81, 0x80, 0x04], '65537'],
  ['of 4 GiB', [0xff, 0xff, 0xff, 0xff, 0x0f], 'too many bytes'],
  ['of a prefix that never ends', [0x80, 0x80, 0x80, 0x80], 'too many bytes'],
  ['of a negative length', Array(9).fill(0xff).concat(0x01), 'too many bytes'],
  ['of 1 written with two bytes', [0x81, 0x00], 'longer than need be'],
  ['of 1 written with three bytes', [0x81, 0x80, 0x00], 'longer than need be'],
  ['of nothing', [0x00], 'empty'],
  ['of nothing, written long', [0x80, 0x00], 'longer than need be'],
])('a frame %s is refused at its prefix', (_, prefix, why) => {
  const first = joinFrames([filled(3)])
  const bytes = Uint8Array.from([...first, ...prefix])
  expect(() => decoded([bytes])).toThrow(
    expect.objectContaining({
      code: 'bad_frame',
      action: 'penalise',
      message: expect.stringContaining(why),
    }),
  )
  // The same when its bytes come one by one.
  expect(() => decoded(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toThrow()
})

test('any bytes are frames or a refusal, and the frames are what was sent', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const frames: Uint8Array[] = []
      const decoder = new FrameDecoder()
      try {
        decoder.push(bytes)
        for (let one = decoder.next(); one !== undefined; one = decoder.next()) frames.push(one)
      } catch (error) {
        expect(error).toMatchObject({ code: 'bad_frame' })
      }
      const joined = joinFrames(frames)
      expect(bytes.subarray(0, joined.length)).toEqual(joined)
    }),
  )
})

test('a piece with nothing in it changes nothing', () => {
  const large = filled(2_000)
  const { frames } = decoded([new Uint8Array(0), joinFrames([large]), new Uint8Array(0)])
  expect(frames).toEqual([large])
})

test('a frame is a copy: what it was cut from may be written over', () => {
  const bytes = Buffer.from(joinFrames([filled(10)]))
  const { frames } = decoded([bytes])
  bytes.fill(0)
  expect(frames).toEqual([filled(10)])
})
