import { InvalidError, PeerError } from '../../base/errors.ts'
import type { ChatWork, CompletionWork } from '../../wire/job.ts'
import type { StreamFields } from './sampling.ts'

/** What a request may ask for that has no place in a stream of drafts; each endpoint has some of it. */
export interface ModeFields extends StreamFields {
  stream_mode?: 'v8' | null
  tools?: readonly unknown[] | null
  functions?: readonly unknown[] | null
  response_format?: { type: string } | null
  echo?: boolean | null
}

type TextWork = ChatWork | CompletionWork

/** Whether drafts are to be shown. Throws where they can't be of what is asked for. */
export function isWatched(fields: ModeFields, work: TextWork): boolean {
  if (fields.stream_mode == null) return false
  if (fields.stream !== true) {
    const message = "Invalid 'stream_mode': only allowed together with 'stream': true."
    throw new InvalidError('stream_mode', message)
  }
  const param = unshown(fields, work)
  if (param === undefined) return true
  const message =
    `Unsupported parameter: '${param}' does not take this value together with ` +
    "'stream_mode': 'v8', which shows one answer of plain text."
  throw new PeerError('unsupported_parameter', message, { param })
}

function unshown(fields: ModeFields, work: TextWork): string | undefined {
  const { tools, functions, response_format: format, echo, stream_options: options } = fields
  const { choices, logprobs = 0 } = work.sampling
  if (choices > 1) return 'n'
  if (work.kind === 'completion' && work.prompts.length > 1) return 'prompt'
  if (tools != null && tools.length > 0) return 'tools'
  if (functions != null && functions.length > 0) return 'functions'
  if (format != null && format.type !== 'text') return 'response_format'
  // The answer is what was committed, and nothing else.
  if (echo === true) return 'echo'
  // A commit has the score of its own token alone.
  if (logprobs > 0) return work.kind === 'chat' ? 'top_logprobs' : 'logprobs'
  if (options?.include_obfuscation === true) return 'stream_options.include_obfuscation'
  return undefined
}

/** The same work, with the score of each token. */
export const scored = (work: TextWork): TextWork => ({
  ...work,
  sampling: { ...work.sampling, logprobs: 0 },
})
