import { FRAME_BYTES_MAX } from './protocols.ts'
import { decode, encode } from './shape.ts'
import type { Status } from './status.ts'
import { statusShape } from './status-shape.ts'

export const encodeStatus = (status: Status): Uint8Array => encode(statusShape, status)

export const decodeStatus = (bytes: Uint8Array): Status =>
  decode(statusShape, bytes, FRAME_BYTES_MAX)
