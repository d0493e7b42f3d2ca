import { type Bad, bad, type Good, good } from './cases.ts'
import { join } from './raw.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
const filled = (length: number) => new Uint8Array(length).fill(0x61)

export const framesGood: Good[] = [
  good('frames', 'none', bytes()),
  good('frames', 'one of one byte', bytes(1, 7)),
  good('frames', 'two', bytes(2, 1, 2, 1, 3)),
  good(
    'frames',
    'of 127 and of 128 bytes',
    join(bytes(127), filled(127), bytes(0x80, 1), filled(128)),
  ),
  good('frames', 'of 16,384 bytes', join(bytes(0x80, 0x80, 1), filled(16_384))),
  good('frames', 'of 65,536 bytes', join(bytes(0x80, 0x80, 4), filled(65_536))),
]

const refused: [name: string, bytes: Uint8Array][] = [
  ['an empty frame', bytes(0)],
  ['an empty frame, written long', bytes(0x80, 0)],
  ['a length longer than it needs to be', bytes(0x81, 0, 7)],
  ['a length of three bytes that needs two', bytes(0xff, 0x81, 0)],
  ['65,537 bytes', join(bytes(0x81, 0x80, 4), filled(65_537))],
  ['2 MiB', bytes(0x80, 0x80, 0x80, 1)],
  ['4 GiB', bytes(0xff, 0xff, 0xff, 0xff, 0x0f)],
  ['2^64 - 1 bytes', bytes(...Array.from({ length: 9 }, () => 0xff), 1)],
  ['a length that does not end', new Uint8Array(20).fill(0x80)],
  ['a good frame and a bad one', bytes(1, 7, 0x81, 0, 7)],
]

/** The stream ends in the middle of a frame. */
const cutOff: [name: string, bytes: Uint8Array][] = [
  ['cut off', bytes(5, 1, 2)],
  ['cut off in its length', bytes(0x80)],
  ['cut off right after its length', bytes(1)],
]

export const framesBad: Bad[] = [
  ...refused.map(([name, bytes]) => bad('frames', name, bytes, 'bad_frame')),
  ...cutOff.map(([name, bytes]) => bad('frames', name, bytes, 'bad_frame')),
]
