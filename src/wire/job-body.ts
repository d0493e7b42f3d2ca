import { canonicalJson, scanJson } from './canonical-json.ts'
import type { AnswerFormat } from './functions.ts'
import type { JobKind, Resume, WireJob } from './generate.ts'
import { decodeResumes, encodeResumes } from './generate-codec.ts'
import { BODY_BYTES_MAX } from './generate-shape.ts'
import { hmacSha256 } from './hmac.ts'
import type { ContentPart } from './images.ts'
import type { ChatWork, Sampling, Work } from './job.ts'
import { malformed } from './malformed.ts'
import { sha256 } from './sha256.ts'
import { bodyBounds, decodeWork } from './work-json.ts'

export { decodeWork } from './work-json.ts'

const COUNT_MAX = 2 ** 32 - 1

const utf8 = new TextEncoder()

/** The body of a job: canonical JSON, so that its hash means its content. */
export function encodeWork(work: Work): Uint8Array {
  return utf8.encode(canonicalJson(toBody(work)))
}

/** Whether others read it at all, whatever is in it. */
export function isWithinBounds(body: Uint8Array): boolean {
  if (body.length > BODY_BYTES_MAX) return false
  try {
    scanJson(new TextDecoder().decode(body), 'body', bodyBounds)
    return true
  } catch {
    return false
  }
}

/** HMAC-SHA256 of the body. Who does not have the nonce can't try out prompts against it. */
export function promptRoot(nonce: Uint8Array, body: Uint8Array): Uint8Array {
  return hmacSha256(nonce, body)
}

/** What a job says of its body. */
type BodyFields = Pick<
  WireJob,
  'kind' | 'bodyBytes' | 'promptRoot' | 'promptNonce' | 'seed' | 'maxOutputTokens'
>

/** The body, and the job's fields that follow from it. `nonce` has 32 random bytes. */
export function packBody(
  work: Work,
  nonce: Uint8Array,
  kind: JobKind = work.kind,
): { bytes: Uint8Array; fields: BodyFields } {
  const bytes = encodeWork(work)
  const bodyBytes = bytes.length
  const root = promptRoot(nonce, bytes)
  return {
    bytes,
    fields: { kind, bodyBytes, promptRoot: root, promptNonce: nonce, ...drawing(work) },
  }
}

/** The work in a body that belongs to this job; throws for any other. */
export function openBody(job: WireJob, body: Uint8Array): Work {
  if (body.length !== job.bodyBytes) throw malformed('Job.body_bytes', 'is not the body’s length')
  if (!sameBytes(promptRoot(job.promptNonce, body), job.promptRoot)) {
    throw malformed('Job.prompt_root', 'is not that of the body')
  }
  const work = decodeWork(job.kind, body)
  const { seed, maxOutputTokens } = drawing(work)
  if (seed !== job.seed) throw malformed('Job.seed', 'is not that of the body')
  if (maxOutputTokens !== job.maxOutputTokens) {
    throw malformed('Job.max_output_tokens', 'is not that of the body')
  }
  return work
}

type ResumeFields = Pick<WireJob, 'resumeBytes' | 'resumeHash'>

/** What the client already has, and the job's fields that follow from it; none for none. */
export function packResumes(resumes: Resume[]): { bytes: Uint8Array; fields: ResumeFields } {
  const bytes = encodeResumes(resumes)
  const resumeHash = bytes.length === 0 ? new Uint8Array() : sha256(bytes)
  return { bytes, fields: { resumeBytes: bytes.length, resumeHash } }
}

export function openResumes(job: WireJob, bytes: Uint8Array): Resume[] {
  if (bytes.length !== job.resumeBytes) throw malformed('Job.resume_bytes', 'is not their length')
  if (bytes.length === 0) return []
  if (!sameBytes(sha256(bytes), job.resumeHash)) {
    throw malformed('Job.resume_hash', 'is not that of the resumes')
  }
  return decodeResumes(bytes)
}

/** Stands in the job as well: who checks a draw later has the job, and not the body. */
function drawing(work: Work): Pick<WireJob, 'seed' | 'maxOutputTokens'> {
  if (work.kind === 'embedding') return { seed: 0, maxOutputTokens: 0 }
  const { seed, maxTokens = 0 } = work.sampling
  return { seed, maxOutputTokens: Math.min(maxTokens, COUNT_MAX) }
}

function toBody(work: Work): object {
  switch (work.kind) {
    case 'chat':
      return toChatBody(work)
    case 'completion':
      return { prompts: work.prompts, sampling: toJson(work.sampling) }
    case 'embedding':
      return { inputs: work.inputs, dimensions: work.dimensions }
  }
}

/** Members that are undefined are left out. */
function toChatBody(work: ChatWork): object {
  return {
    messages: work.messages.map(({ role, content, parts, calls, callId }) => ({
      ...{ role, content, call: callId },
      parts: parts?.map(toPart),
      calls: calls?.map(({ id, name, arguments: said }) => ({ id, name, arguments: said })),
    })),
    functions: work.functions?.map(({ name, description, parameters, strict }) => {
      return { name, description, parameters, strict }
    }),
    calling: work.calling && { mode: work.calling.mode, name: work.calling.name },
    one_call: work.oneCall,
    format: work.format && toFormat(work.format),
    sampling: toJson(work.sampling),
  }
}

function toPart(part: ContentPart): object {
  if ('text' in part) return { text: part.text }
  const { type, data, detail } = part.image
  return { image: { type, data, detail } }
}

const toFormat = ({ type, name, description, schema, strict }: AnswerFormat): object => ({
  ...{ type, name, description, schema, strict },
})

function toJson(sampling: Sampling): object {
  return {
    temperature: sampling.temperature,
    top_p: sampling.topP,
    seed: sampling.seed,
    choices: sampling.choices,
    // More than 2^32 - 1 is as good as unlimited.
    max_tokens: sampling.maxTokens && Math.min(sampling.maxTokens, COUNT_MAX),
    stop: sampling.stop,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    logit_bias: sampling.logitBias,
    logprobs: sampling.logprobs,
  }
}

/** All of it is known to both sides: no need for constant time. */
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])
