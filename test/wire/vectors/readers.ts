import { messageOf, PeerError } from '../../../src/base/errors.ts'
import { FrameDecoder, joinFrames } from '../../../src/network/host/frame-codec.ts'
import {
  decodeAdvertRequest,
  encodeAdvertRequest,
  openAdvert,
  openDeparture,
  signAdvert,
  signDeparture,
} from '../../../src/wire/advert-codec.ts'
import { advertRequestShape, advertShape, departureShape } from '../../../src/wire/advert-shape.ts'
import { decodeUtf8 } from '../../../src/wire/canonical-json.ts'
import type { JobKind } from '../../../src/wire/generate.ts'
import {
  decodeFromProvider,
  decodeResumes,
  decodeToProvider,
  encodeFromProvider,
  encodeResumes,
  encodeToProvider,
  openJob,
  signJob,
} from '../../../src/wire/generate-codec.ts'
import {
  fromProviderShape,
  jobShape,
  resumesShape,
  toProviderShape,
} from '../../../src/wire/generate-shape.ts'
import { decodeWork, encodeWork } from '../../../src/wire/job-body.ts'
import { malformed } from '../../../src/wire/malformed.ts'
import { parseModelId } from '../../../src/wire/model-id.ts'
import { decode, encode, type Shape } from '../../../src/wire/shape.ts'
import { signedShape } from '../../../src/wire/signed.ts'
import { decodeStatus, encodeStatus } from '../../../src/wire/status-codec.ts'
import { statusShape } from '../../../src/wire/status-shape.ts'
import { alice, bob, both, network } from './cases.ts'
import { logReaders } from './log-readers.ts'
import { packHex } from './packed-hex.ts'
import { oneofJson, plainJson, reader, type VectorReader } from './reader.ts'
import { dataOf, endOf } from './v8-stream.ts'

const signing = { network, sign: (message: Uint8Array) => alice.sign(message) }

const opening = { network, verify: both }
const ends = { ...opening, coordinator: alice.peerId, provider: bob.peerId }

const MAX = Number.MAX_SAFE_INTEGER
const payloadOf = (bytes: Uint8Array) => decode(signedShape, bytes, MAX).payload
const signed = <T>(
  open: (bytes: Uint8Array) => T,
  write: (value: NonNullable<T>) => Uint8Array,
  shape: Shape<never>,
) => reader(open, write, (bytes) => plainJson(shape as Shape<unknown>, payloadOf(bytes)))

const body = (kind: JobKind): VectorReader =>
  reader((bytes) => decodeWork(kind, bytes), encodeWork, toJson)

const toText = (bytes: Uint8Array) => decodeUtf8(bytes, 'text')
const toJson = (bytes: Uint8Array) => JSON.parse(toText(bytes))

function readFrames(bytes: Uint8Array): Uint8Array[] {
  const decoder = new FrameDecoder()
  decoder.push(bytes)
  const frames: Uint8Array[] = []
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame)
  if (decoder.isWithinFrame) throw new PeerError('bad_frame', 'The stream ends in a frame.')
  return frames
}

function modelIdJson(bytes: Uint8Array): unknown {
  const parsed = parseModelId(toText(bytes))
  if (parsed === undefined) throw malformed('ModelId', 'is none')
  return parsed.type === 'cid' ? { ...parsed, sha256: packHex(parsed.sha256) } : parsed
}

function lookupJson(bytes: Uint8Array): unknown {
  const [, kind, text] = /^PNV1\|([a-z-]+)\|(.*)$/su.exec(toText(bytes)) ?? []
  return { kind, text }
}

export const readers: Record<string, VectorReader> = {
  ...logReaders,
  Request: reader(decodeAdvertRequest, encodeAdvertRequest, (bytes) =>
    oneofJson(advertRequestShape as never, bytes),
  ),
  SignedAdvert: signed(
    (bytes) => openAdvert(bytes, opening),
    (value) => signAdvert(value, signing),
    advertShape as never,
  ),
  AnswerToAsk: signed(
    (bytes) => openAdvert(bytes, { ...opening, from: alice.peerId }),
    (value) => signAdvert(value, signing),
    advertShape as never,
  ),
  SignedDeparture: signed(
    (bytes) => openDeparture(bytes, opening),
    (value) => signDeparture(value, signing),
    departureShape as never,
  ),
  Status: reader(decodeStatus, encodeStatus, (bytes) => plainJson(statusShape, bytes)),
  ToProvider: reader(decodeToProvider, encodeToProvider, (bytes) =>
    oneofJson(toProviderShape as never, bytes),
  ),
  FromProvider: reader(decodeFromProvider, encodeFromProvider, (bytes) =>
    oneofJson(fromProviderShape as never, bytes),
  ),
  SignedJob: signed(
    (bytes) => openJob(decode(signedShape, bytes, MAX), ends),
    (value) => encode(signedShape, signJob(value, signing)),
    jobShape as never,
  ),
  Resumes: reader(decodeResumes, encodeResumes, (bytes) => plainJson(resumesShape, bytes)),
  'body/chat': body('chat'),
  'body/completion': body('completion'),
  'body/draft': body('draft'),
  'body/embedding': body('embedding'),
  'body/image': body('image'),
  frames: reader(readFrames, joinFrames, (bytes) => readFrames(bytes).map(packHex)),
  ModelId: reader(toText, (text) => Buffer.from(text), modelIdJson),
  LookupKey: reader(toText, (text) => Buffer.from(text), lookupJson),
  /** Of a v8 stream, which nobody writes again. */
  Bytes: { value: (bytes) => endOf(dataOf(bytes)), again: () => new Uint8Array() },
}

/** The code of the refusal; undefined when there is none. */
export function codeOf(message: string, bytes: Uint8Array): string | undefined {
  try {
    readers[message]?.value(bytes)
    return undefined
  } catch (error) {
    return error instanceof PeerError ? error.code : messageOf(error)
  }
}
