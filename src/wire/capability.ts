import type { ContentPart } from './images.ts'
import type { ChatWork, Work } from './job.ts'

/** What a model of chats may or may not do, in the words of an advert. */
export const chatCapabilities = ['tools', 'json', 'vision'] as const
export type Capability = (typeof chatCapabilities)[number]

/** What a model must be able to do for this work, beside what all of its kind do. */
export function needsOf(work: Work): Capability[] {
  if (work.kind !== 'chat') return []
  return chatCapabilities.filter((capability) => tests[capability](work))
}

const tests: Readonly<Record<Capability, (work: ChatWork) => boolean>> = {
  tools: ({ functions, messages }) =>
    functions !== undefined ||
    messages.some(({ role, calls }) => role === 'result' || calls !== undefined),
  json: ({ format }) => format !== undefined,
  vision: ({ messages }) => messages.some(({ parts = [] }) => parts.some(isImage)),
}

const isImage = (part: ContentPart): boolean => 'image' in part

/** The first of them that is not among those it has. */
export const lacking = (
  needs: readonly Capability[],
  has: readonly string[],
): Capability | undefined => needs.find((need) => !has.includes(need))
