import { identityFromSeed } from '../../src/identity/identity.ts'
import type { Chunk, RollbackReason, Segmented } from '../../src/wire/chunk.ts'
import { segmentJobId, signReceipt } from '../../src/wire/receipt.ts'
import type { V8Event } from '../../src/wire/v8-event.ts'
import type { Script } from './scripted-engine.ts'
import { NODE_ID } from './scripted-market.ts'

// What engines say of an answer that is watched.

const identity = identityFromSeed(new Uint8Array(32).fill(9))

export const said = (...chunks: Chunk[]): Script =>
  async function* () {
    yield { type: 'accepted', inputTokens: 5 }
    yield* chunks
  }

export const draft = (index: number, ids: number[], text: string, drafter = NODE_ID): Chunk => ({
  ...{ type: 'provisional', choice: 0, index, ids, text, drafter },
})

export const tokens = (index: number, ids: number[], text: string, scores?: number[]): Chunk => ({
  ...{ type: 'tokens', choice: 0, index, ids, text },
  ...(scores && {
    logprobs: scores.map((logprob) => ({ token: '', bytes: [], logprob, top: [] })),
  }),
})

export const rollback = (from: number, reason: RollbackReason): Chunk => ({
  ...{ type: 'rollback', choice: 0, from, reason },
})

export function segment(end: number, start?: number): Segmented {
  const resultHash = new Uint8Array(32).fill(end)
  const named = { jobId: segmentJobId('job_7.1', end), nodePk: identity.publicKey }
  const fields = { ...named, resultHash, meteringUnits: 5 + end }
  const receipt = signReceipt(fields, (message) => identity.sign(message))
  return { type: 'segment', end, receipt, ...(start !== undefined && { start }) }
}

export const done = (outputTokens: number): Chunk => ({
  ...{ type: 'done', finish: ['stop'] },
  usage: { inputTokens: 5, cachedTokens: 2, outputTokens },
})

/** Its events as an event stream's reader has them, and what stands around them. */
export async function readV8(response: Response) {
  const text = await response.text()
  const frames = text.split('\n\n').filter((frame) => frame !== '' && !frame.startsWith(':'))
  const isWhole = frames.at(-1) === 'data: [DONE]'
  const named = frames.filter((frame) => frame !== 'data: [DONE]').map((frame) => frame.split('\n'))
  const events = named.map(([, , data = '']) => JSON.parse(data.slice('data: '.length)) as V8Event)
  return { text, named, events, isWhole }
}

/** Without the id that all of them have. */
export const bare = (events: readonly V8Event[]): object[] =>
  events.map(({ request_id: _, ...event }) => event)
