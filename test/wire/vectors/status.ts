import { cidModelId } from '../../../src/wire/model-id.ts'
import { encode } from '../../../src/wire/shape.ts'
import type { ModelLoad, Status } from '../../../src/wire/status.ts'
import { encodeStatus } from '../../../src/wire/status-codec.ts'
import { statusShape } from '../../../src/wire/status-shape.ts'
import { type Bad, bad, type Good, good } from './cases.ts'
import { content, fixed32, join, number, unknown } from './raw.ts'

const minimal: Status = { advertSequence: 1, draining: false, models: [] }
const load: ModelLoad = {
  id: cidModelId(new Uint8Array(32).fill(0xab)),
  ready: true,
  slots: 4,
  running: 3,
  queued: 2,
  tokensPerSecond: 34.5,
}
const full: Status = { advertSequence: 1_790_000_000_000, draining: true, models: [load] }
const largest: Status = {
  advertSequence: Number.MAX_SAFE_INTEGER,
  draining: true,
  models: Array.from({ length: 64 }, () => ({
    ...load,
    slots: 2 ** 32 - 1,
    tokensPerSecond: 3.4028234663852886e38,
  })),
}

const speed = (...bytes: number[]) =>
  join(number(1, 1), content(3, join(content(1, load.id), fixed32(6, ...bytes))))

export const statusGood: Good[] = [
  good('Status', 'minimal', encodeStatus(minimal)),
  good('Status', 'every field', encodeStatus(full)),
  good('Status', 'at its bounds', encodeStatus(largest)),
  good(
    'Status',
    'fields of a newer version',
    join(unknown(), encodeStatus(full), unknown()),
    encodeStatus(full),
  ),
  good('Status', 'a speed of minus zero', speed(0, 0, 0, 0x80)),
  good('Status', 'zeros written out', join(number(1, 1), number(2, 0)), encodeStatus(minimal)),
  good(
    'Status',
    'fields in another order',
    join(number(2, 1), number(1, 5)),
    encodeStatus({ ...minimal, advertSequence: 5, draining: true }),
  ),
]

const withLoad = (change: Partial<ModelLoad>) =>
  encode(statusShape, { ...minimal, models: [{ ...load, ...change }] })
export const statusBad: Bad[] = [
  bad('Status', 'nothing', new Uint8Array()),
  bad('Status', 'sequence 0', number(1, 0)),
  bad('Status', 'sequence 2^53', number(1, 2 ** 53)),
  bad('Status', 'sequence 2^64 - 1', number(1, 2n ** 64n - 1n)),
  bad('Status', 'neither draining nor not', join(number(1, 1), number(2, 2))),
  bad('Status', 'a string for a number', join(number(1, 1), content(2, '1'))),
  bad(
    'Status',
    '65 models',
    encode(statusShape, { ...minimal, models: Array.from({ length: 65 }, () => load) }),
  ),
  bad('Status', 'a model without an id', withLoad({ id: '' })),
  bad('Status', 'a model by its name', withLoad({ id: 'llama' })),
  bad('Status', 'slots above 32 bits', withLoad({ slots: 2 ** 32 })),
  bad('Status', 'a negative speed', withLoad({ tokensPerSecond: -1 })),
  bad('Status', 'speed without an end', speed(0, 0, 0x80, 0x7f)),
  bad('Status', 'a speed that is no number', speed(0, 0, 0xc0, 0x7f)),
  bad('Status', 'a speed of three bytes', speed(0, 0, 0)),
  bad('Status', 'cut off', encodeStatus(full).subarray(0, -1)),
]
