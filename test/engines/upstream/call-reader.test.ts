import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CallDelta, CallReader } from '../../../src/engines/upstream/call-reader.ts'
import type { ChatWork } from '../../../src/wire/job.ts'

const functions = [{ name: 'look_up' }, { name: 'end' }]

const readerOf = (more: Partial<Pick<ChatWork, 'calling' | 'oneCall'>> = {}, offered = functions) =>
  new CallReader({ work: { functions: offered, ...more }, jobId: 'job_1', choice: 0 })

const delta = (more: Partial<CallDelta>): CallDelta => ({
  ...{ index: undefined, id: undefined, name: undefined, arguments: '' },
  ...more,
})

/** The calls that come of these pieces. */
function read(deltas: readonly Partial<CallDelta>[], reader = readerOf(), finish = 'stop') {
  const calls: { id: string; name: string; arguments: string }[] = []
  const all = deltas.flatMap((each) => reader.read(delta(each)))
  for (const { call, text } of [...all, ...reader.end(finish as 'stop')]) {
    if (call === undefined) continue
    const { index, id, name } = call
    calls[index] = { id, name, arguments: (calls[index]?.arguments ?? '') + text }
  }
  return calls
}

const fault = (deltas: readonly Partial<CallDelta>[], reader?: CallReader, finish?: string) => {
  try {
    read(deltas, reader, finish)
  } catch (error) {
    return error
  }
  return undefined
}

const failed = expect.objectContaining({ code: 'engine_failed' })
const begin = { index: 0, id: 'call_a', name: 'look_up' }

describe('the calls of a server', () => {
  it('are the same, however their arguments are cut', () => {
    const answer = fc.array(
      fc.record({ name: fc.constantFrom('look_up', 'end'), value: fc.jsonValue() }),
      { minLength: 1, maxLength: 5 },
    )
    fc.assert(
      fc.property(answer, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (all, sizes) => {
        const deltas = all.flatMap(({ name, value }, index) => {
          const text = JSON.stringify(value)
          const cut: Partial<CallDelta>[] = [{ index, id: `call_${index}`, name }]
          for (let at = 0; at < text.length; ) {
            const size = sizes.next().value
            cut.push({ index, arguments: text.slice(at, at + size) })
            at += size
          }
          return cut
        })
        expect(read(deltas)).toEqual(
          all.map(({ name, value }, index) => ({
            ...{ id: `call_${index}`, name },
            arguments: JSON.stringify(value),
          })),
        )
      }),
    )
  })

  it('come whole, without numbers, or all with the same one', () => {
    const [a, b] = [
      { name: 'look_up', arguments: '{"a":1}' },
      { name: 'end', arguments: '{}' },
    ]
    const expected = [
      { id: 'x', ...a },
      { id: 'y', ...b },
    ]
    // As Ollama sends them; as older Ollama did; as gateways before other services do.
    expect(
      read([
        { ...a, index: 0, id: 'x' },
        { ...b, index: 1, id: 'y' },
      ]),
    ).toEqual(expected)
    expect(
      read([
        { ...a, index: 0, id: 'x' },
        { ...b, index: 0, id: 'y' },
      ]),
    ).toEqual(expected)
    expect(
      read([
        { ...a, id: 'x' },
        { ...b, id: 'y' },
      ]),
    ).toEqual(expected)
  })

  it('are one where each piece has a name and an id of its own', () => {
    // As older vLLM sends a call that was asked for by its name.
    const pieces = ['', '{"a"', ': 1', '}', '']
    const all = pieces.map((said, at) => ({
      ...{ index: 0, id: `call_${at}`, name: 'look_up' },
      arguments: said,
    }))
    expect(read(all)).toEqual([{ id: 'call_0', name: 'look_up', arguments: '{"a": 1}' }])
  })

  it('have the id that they began with, or a sound one', () => {
    const changed = read([begin, { index: 0, id: 'call_b', arguments: '{}' }])
    expect(changed).toEqual([{ id: 'call_a', name: 'look_up', arguments: '{}' }])
    const ids = [undefined, 'x'.repeat(10_000_000), 'a b', '<script>', 'a\nb', 'call_a', 'call_a']
    const calls = read(ids.map((id, index) => ({ index, id, name: 'end', arguments: '{}' })))
    expect(new Set(calls.map(({ id }) => id)).size).toBe(ids.length)
    for (const { id } of calls) expect(id).toMatch(/^call_(a|[0-9a-f]{24})$/)
  })

  it('without arguments have none', () => {
    const next = { index: 1, id: 'call_b', name: 'end' }
    expect(read([begin, next]).map((call) => call.arguments)).toEqual(['{}', '{}'])
    expect(read([begin], readerOf(), 'length').map((call) => call.arguments)).toEqual([''])
  })

  it.each<[what: string, deltas: Partial<CallDelta>[]]>([
    ['a call of what nobody offered', [{ index: 0, id: 'a', name: 'rm' }]],
    ['a call without a name', [{ index: 0, id: 'a' }]],
    ['a piece of no call', [{ arguments: '{}' }]],
    ['a number of 10^9', [{ ...begin, index: 1e9 }]],
    ['a number that is none', [{ ...begin, index: Number.NaN }]],
    ['calls out of turn', [begin, { ...begin, index: 2 }]],
    ['a piece of an earlier call', [begin, { ...begin, index: 1, id: 'b' }, { index: 0 }]],
    ['a name that changes', [begin, { index: 0, name: 'end' }]],
    ['half JSON', [{ ...begin, arguments: '{"a":' }]],
    [
      'half JSON before another call',
      [
        { ...begin, arguments: '{' },
        { ...begin, index: 1 },
      ],
    ],
    [
      'calls without an end',
      Array.from({ length: 129 }, (_, index) => ({ index, name: 'end', arguments: '{}' })),
    ],
    [
      'arguments without an end',
      [begin, ...Array.from({ length: 40 }, () => ({ index: 0, arguments: ' '.repeat(32_768) }))],
    ],
  ])('are refused: %s', (_what, deltas) => {
    expect(fault(deltas)).toEqual(failed)
  })

  it('are those that were asked for', () => {
    expect(fault([begin], readerOf({}, []))).toEqual(failed)
    expect(fault([begin], readerOf({ calling: { mode: 'none' } }))).toEqual(failed)
    const end = () => readerOf({ calling: { mode: 'required', name: 'end' } })
    expect(fault([begin], end())).toEqual(failed)
    expect(fault([], end())).toEqual(failed)
    expect(fault([], end(), 'length')).toBeUndefined()
    expect(fault([{ ...begin, name: 'end' }], end())).toBeUndefined()
  })

  it('are one, where one was asked for, and the rest is passed over', () => {
    const more = Array.from({ length: 5 }, (_, at) => ({ index: at + 1, name: 'end' }))
    const all = [{ ...begin, arguments: '{}' }, ...more, { index: 5, arguments: '{' }]
    expect(read(all, readerOf({ oneCall: true }))).toHaveLength(1)
  })
})
