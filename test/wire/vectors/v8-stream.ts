import { createHash } from 'node:crypto'
import { EventStreamDecoder } from '../../../src/sdk/event-stream.ts'
import { malformed } from '../../../src/wire/malformed.ts'
import { decodeV8Event } from '../../../src/wire/v8-codec.ts'
import { V8_DONE } from '../../../src/wire/v8-event.ts'
import { checkV8End, reduceV8, type V8State, v8Start } from '../../../src/wire/v8-stream.ts'
import { unpackHex } from './packed-hex.ts'

/** `data` of one event, or of several that come so often. */
export type Data = string | readonly [readonly string[], number]

export interface V8Case {
  name: string
  message: 'Event' | 'Stream' | 'Bytes'
  data?: string | readonly Data[]
  hex?: string
  value?: unknown
  end?: unknown
  shown?: [answer: string, drafts: string][]
  error?: string
}

export const flat = (data: readonly Data[]): string[] =>
  data.flatMap((each) => {
    if (typeof each === 'string') return [each]
    const [group, times] = each
    return Array.from({ length: times }, () => group).flat()
  })

/** The `data` of each event of a whole stream. */
export function dataOf(bytes: Uint8Array): string[] {
  const decoder = new EventStreamDecoder()
  const found: string[] = []
  decoder.push(bytes)
  for (let data = decoder.next(); data !== undefined; data = decoder.next()) {
    found.push(data)
    // Nothing behind it is read.
    if (data === V8_DONE || isError(data)) break
  }
  return found
}

const isError = (data: string) => decodeV8Event(data)?.event === 'error'

/** The states after each event that is known. */
export function statesOf(data: readonly string[]): V8State[] {
  const states = [v8Start]
  let state: V8State = v8Start
  for (const each of data) {
    if (each === V8_DONE) {
      if (state.phase !== 'done') throw malformed(V8_DONE, 'comes before token.finalize')
      return states
    }
    const event = decodeV8Event(each)
    if (event === undefined) continue
    state = reduceV8(state, event)
    states.push(state)
    if (state.phase === 'failed') return states
  }
  checkV8End(state)
  return states
}

export function endOf(data: readonly string[]) {
  const end = statesOf(data).at(-1) ?? v8Start
  return {
    phase: end.phase,
    sha256: createHash('sha256').update(end.committed).digest('hex'),
    bytes: Buffer.byteLength(end.committed),
    tokens: end.tokens,
    accepted: end.accepted,
    rolled_back: end.rolledBack,
    finish_reason: end.finalized?.finish_reason ?? null,
    code: end.error?.code ?? null,
  }
}

export const shownOf = (data: readonly string[]): [answer: string, drafts: string][] =>
  statesOf(data)
    .slice(1)
    .map(({ committed, ghosts }) => [committed, ghosts.join('')])

/** What is read of a case, as its file says it. */
export function readV8Case({ message, data, hex }: Pick<V8Case, 'message' | 'data' | 'hex'>) {
  if (message === 'Event') return { value: decodeV8Event(data as string) ?? null }
  if (message === 'Bytes') return { end: endOf(dataOf(unpackHex(hex ?? ''))) }
  return { end: endOf(flat(data as readonly Data[])) }
}
