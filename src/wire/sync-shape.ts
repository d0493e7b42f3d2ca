import { cid } from './cid-field.ts'
import { ENTRY_BYTES_MAX } from './entry.ts'
import { equivocationShape } from './equivocation.ts'
import { bool, bytes, needed, nested, string, uint64 } from './fields.ts'
import { EPOCH_BYTES, signedHeadShape } from './head.ts'
import { blobs, hashes, messages } from './list-fields.ts'
import { BATCH_BYTES_MAX, batchShape } from './log-batch.ts'
import { PATH_MAX } from './merkle.ts'
import { jobId, token } from './rules.ts'
import { message, oneof } from './shape.ts'
import { DIGEST_BYTES } from './sync-digest.ts'

/** One question; a peer that wants more asks again. */
export const RANGES_MAX = 256
export const AUTHORS_MAX = 256
/** Of one frame: some 60 bytes each, and some 200 for a head. */
export const PLACES_MAX = 512
export const HEADS_MAX = 256

/** As many bytes of a root as it takes to see that it is another one. */
export const ROOT_MARK_BYTES = 8

const key = { min: 32, max: 32 }
const epoch = { min: EPOCH_BYTES, max: EPOCH_BYTES }
const signature = { min: 64, max: 64 }

const digest = message('Digest', { buckets: bytes(1, { min: DIGEST_BYTES, max: DIGEST_BYTES }) })

const authors = message('Authors', { authors: blobs(1, { ...key, countMax: AUTHORS_MAX }) })

const range = message('Range', {
  author: bytes(1, key),
  epoch: bytes(2, epoch),
  from: uint64(3),
  to: uint64(4),
  peaks: bool(5),
})

const ranges = message('Ranges', { ranges: messages(1, range, RANGES_MAX) })

const get = message('Get', { cid: cid(1) })

export const syncRequestShape = oneof('SyncRequest', {
  digest: nested(1, digest),
  authors: nested(2, authors),
  ranges: nested(3, ranges),
  get: nested(4, get),
  follow: nested(5, ranges),
  equivocation: nested(6, equivocationShape),
})

const place = message('Place', {
  author: bytes(1, key),
  epoch: bytes(2, epoch),
  size: uint64(3, { min: 1 }),
  rootMark: bytes(4, { min: ROOT_MARK_BYTES, max: ROOT_MARK_BYTES }),
})

const places = message('Places', { places: messages(1, place, PLACES_MAX) })

const heads = message('Heads', { heads: messages(1, signedHeadShape, HEADS_MAX) })

export const foundShape = message('Found', {
  head: needed(1, signedHeadShape),
  index: uint64(2),
  entry: bytes(3, { min: 1, max: ENTRY_BYTES_MAX }),
  path: hashes(4, PATH_MAX),
})

const open = message('Open', {
  jobId: string(1, jobId),
  nodePk: bytes(2, key),
  promptRoot: bytes(3, key),
  inputTokens: uint64(4),
  signature: bytes(5, signature),
})

const end = message('End', { reason: string(1, token, 'optional') })

export const syncAnswerShape = oneof('SyncAnswer', {
  places: nested(1, places),
  heads: nested(2, heads),
  batch: nested(3, batchShape, BATCH_BYTES_MAX),
  found: nested(4, foundShape),
  open: nested(5, open),
  equivocation: nested(6, equivocationShape),
  end: nested(7, end),
})

/** What goes over the topic. */
export const logMessageShape = oneof('LogMessage', {
  batch: nested(1, batchShape, BATCH_BYTES_MAX),
  equivocation: nested(2, equivocationShape),
})
