import type { Price, Work } from '../wire/job.ts'

/** What a chat template or a tool's own system prompt puts around the messages at most. */
const TEMPLATE_TOKENS = 2_048
/** Role, separators and end of one message, or the ends of one prompt. */
const FRAME_TOKENS = 32

/** What a job can come to at most, known before any work. */
export interface Bounds {
  inputTokens: number
  outputTokens: number
}

export function boundsOf(work: Work, contextLength: number): Bounds {
  return {
    inputTokens: inputTokensMax(work, contextLength),
    outputTokens: lanesMax(work) * outputTokensMax(work, contextLength),
  }
}

/** What a job of this size costs at this price: micro-credits, rounded up once. */
export const quote = (bounds: Bounds, price: Price): number =>
  toCredits(roundedUp(thousandths(bounds, price)))

/** What nobody pays for has no price. */
export const FREE: Price = { input: 0, output: 0 }

export const isFree = ({ input, output }: Price): boolean => input === 0 && output === 0

/** What covers both. */
export const dearer = (a: Price, b: Price): Price => ({
  input: Math.max(a.input, b.input),
  output: Math.max(a.output, b.output),
})

/** The same before it is rounded, in thousandths of a micro-credit. */
export const thousandths = ({ inputTokens, outputTokens }: Bounds, price: Price): bigint =>
  BigInt(inputTokens) * BigInt(price.input) + BigInt(outputTokens) * BigInt(price.output)

export const roundedUp = (thousandths: bigint): bigint => (thousandths + 999n) / 1000n

/** No account holds more than the most: whoever compares finds that it can't be paid. */
export const toCredits = (credits: bigint): number =>
  Number(credits > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : credits)

/** No token is shorter than a byte; a prompt beyond the context is refused. */
export function inputTokensMax(work: Work, contextLength: number): number {
  return textsOf(work).reduce((sum, bytes) => sum + Math.min(bytes, contextLength), 0)
}

/** Whether one of its prompts can have so many tokens at all. */
export function mayExceed(work: Work, contextLength: number): boolean {
  return textsOf(work).some((bytes) => bytes >= contextLength)
}

/** Of one choice. One token of the context at least is the prompt's. */
export function outputTokensMax(work: Work, contextLength: number): number {
  if (work.kind === 'embedding') return 0
  const room = Math.max(1, contextLength - 1)
  return Math.min(work.sampling.maxTokens ?? room, room)
}

/** Of each prompt: its bytes, and what is written around it. */
function textsOf(work: Work): number[] {
  switch (work.kind) {
    case 'chat': {
      const texts = work.messages.map(({ content }) => Buffer.byteLength(content) + FRAME_TOKENS)
      return [texts.reduce((sum, bytes) => sum + bytes, TEMPLATE_TOKENS)]
    }
    case 'completion':
      return work.prompts.map((prompt) => Buffer.byteLength(prompt) + FRAME_TOKENS)
    case 'embedding':
      return work.inputs.map((input) => Buffer.byteLength(input) + FRAME_TOKENS)
  }
}

function lanesMax(work: Work): number {
  if (work.kind === 'embedding') return 0
  return work.sampling.choices * (work.kind === 'completion' ? work.prompts.length : 1)
}
