import { PeerError } from '../base/errors.ts'
import type { Fault, FromProvider, Resume, Signed, ToProvider, WireJob } from './generate.ts'
import {
  fromProviderShape,
  jobShape,
  RESUME_BYTES_MAX,
  resumesShape,
  toProviderShape,
} from './generate-shape.ts'
import { malformed } from './malformed.ts'
import { fitting, param, sentence } from './rules.ts'
import { decode, decodeForm, encode } from './shape.ts'
import { checkSignature, type Signing, signPayload, type Verifying } from './signed.ts'

export { BODY_BYTES_MAX, RESUME_BYTES_MAX, TOKENS_MAX } from './generate-shape.ts'

/** Of a body or a `Resumes`, in one frame. */
export const PIECE_BYTES_MAX = 60 * 1024

type FlatJob = ReturnType<typeof jobShape.read>

export function signJob({ maxPrice, ...job }: WireJob, signing: Signing): Signed {
  const flat: FlatJob = {
    ...job,
    priceCapped: maxPrice !== undefined,
    maxPriceInput: maxPrice?.input ?? 0,
    maxPriceOutput: maxPrice?.output ?? 0,
  }
  return signPayload('job', encode(jobShape, flat), signing)
}

/** Both ends of the stream on which the job came. */
interface Ends extends Verifying {
  coordinator: string
  provider: string
}

/** A job whose `kind` this version does not know has the kind `unknown`. */
export function openJob(signed: Signed, ends: Ends): WireJob {
  const { value: flat, unsupported } = decodeForm(jobShape, signed.payload, signed.payload.length)
  checkTogether(flat)
  if (flat.coordinator !== ends.coordinator) {
    throw refusal('not_yours', 'The job is of another coordinator than the one that sent it.')
  }
  if (flat.provider !== ends.provider) {
    throw refusal('not_for_me', 'The job is for another provider.')
  }
  checkSignature('job', signed, flat.coordinator, ends)
  if (unsupported !== undefined) throw unsupported
  const { priceCapped, maxPriceInput: input, maxPriceOutput: output, ...job } = flat
  return priceCapped ? { ...job, maxPrice: { input, output } } : job
}

/** What a field says of another. */
function checkTogether(job: FlatJob): void {
  if ((job.resumeBytes === 0) !== (job.resumeHash.length === 0)) {
    throw malformed('Job.resume_hash', 'must be there if, and only if, there is a resume')
  }
  if (!job.priceCapped && (job.maxPriceInput > 0 || job.maxPriceOutput > 0)) {
    throw malformed('Job.price_capped', 'is missing')
  }
}

const refusal = (code: string, message: string) =>
  new PeerError(code, message, { action: 'penalise' })

export const encodeResumes = (resumes: Resume[]): Uint8Array => encode(resumesShape, { resumes })

export function decodeResumes(bytes: Uint8Array): Resume[] {
  const { resumes } = decode(resumesShape, bytes, RESUME_BYTES_MAX)
  if (new Set(resumes.map(({ choice }) => choice)).size < resumes.length) {
    throw malformed('Resumes.resumes', 'have a choice twice')
  }
  return resumes
}

export function encodeToProvider(frame: ToProvider): Uint8Array {
  switch (frame.type) {
    case 'job':
      return toProviderShape.encode('job', frame.job)
    case 'body':
      return toProviderShape.encode('body', frame.bytes)
    default:
      return toProviderShape.encode(frame.type, frame)
  }
}

/** Undefined for a frame that only a newer version knows: pass over it. */
export function decodeToProvider(bytes: Uint8Array): ToProvider | undefined {
  const frame = toProviderShape.decode(bytes)
  if (frame === undefined) return undefined
  switch (frame.type) {
    case 'job':
      return { type: 'job', job: frame.value }
    case 'body':
      return { type: 'body', bytes: frame.value }
    case 'cancel':
      return { type: 'cancel', ...frame.value }
    case 'ack':
      return { type: 'ack', ...frame.value }
    case 'committed':
      return { type: 'committed', ...frame.value }
  }
}

export function encodeFromProvider(frame: FromProvider): Uint8Array {
  switch (frame.type) {
    case 'tokens': {
      const { tool, ...rest } = frame
      const { index: toolIndex, name: toolName, callId: toolCallId } = tool
      return fromProviderShape.encode('tokens', { ...rest, toolIndex, toolName, toolCallId })
    }
    case 'accept': {
      const { price, ...rest } = frame
      const prices = { priceInput: price.input, priceOutput: price.output }
      return fromProviderShape.encode('accept', { ...rest, ...prices })
    }
    case 'vectors':
      return fromProviderShape.encode('vectors', { ...frame, values: toBytes(frame.values) })
    case 'done': {
      const { usage, receipt, ...rest } = frame
      return fromProviderShape.encode('done', { ...rest, ...usage, receipt })
    }
    case 'refuse':
    case 'failed':
      return fromProviderShape.encode(frame.type, shownFault(frame))
    default:
      return fromProviderShape.encode(frame.type, frame)
  }
}

/** Undefined for a frame that only a newer version knows: pass over it. */
export function decodeFromProvider(bytes: Uint8Array): FromProvider | undefined {
  const frame = fromProviderShape.decode(bytes)
  if (frame === undefined) return undefined
  switch (frame.type) {
    case 'tokens': {
      const { toolIndex: index, toolName: name, toolCallId: callId, ...rest } = frame.value
      return { type: 'tokens', ...rest, tool: { index, name, callId } }
    }
    case 'accept': {
      const { priceInput: input, priceOutput: output, ...rest } = frame.value
      return { type: 'accept', ...rest, price: { input, output } }
    }
    case 'vectors': {
      const { values, ...rest } = frame.value
      return { type: 'vectors', ...rest, values: toFloats(values, rest.length) }
    }
    case 'done': {
      const { receipt, inputTokens, cachedTokens, outputTokens, ...rest } = frame.value
      const usage = { inputTokens, cachedTokens, outputTokens }
      return { type: 'done', ...rest, usage, ...(receipt === undefined ? {} : { receipt }) }
    }
    default:
      return { type: frame.type, ...frame.value } as FromProvider
  }
}

/** Messages come from all over the program, and must not make a refusal unreadable. */
function shownFault(fault: Fault): Fault {
  return { ...fault, message: fitting(fault.message, sentence), param: fitting(fault.param, param) }
}

/** Little-endian, as are all platforms that a peer or a browser runs on. */
function toBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** `bytes` is a copy of its own, so its buffer begins where it begins. */
function toFloats(bytes: Uint8Array, vectorLength: number): Float32Array {
  if (bytes.length % (4 * vectorLength) !== 0) {
    throw malformed('Vectors.values', 'are not whole vectors')
  }
  const values = new Float32Array(bytes.slice().buffer)
  if (!values.every(Number.isFinite)) throw malformed('Vectors.values', 'are not finite numbers')
  return values
}
