import * as fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { describe, expect, it } from 'vitest'
import { chatRequest } from '../../src/api/openai/chat-schema.ts'
import { checkBody } from '../../src/api/openai/check.ts'
import { completionRequest } from '../../src/api/openai/completion-schema.ts'
import { explain } from '../../src/api/openai/explain.ts'

/** Values that come close: a good request in which a few places hold something else. */
function nearly(good: object): fc.Arbitrary<unknown> {
  const odd = fc.oneof(
    fc.constantFrom(null, '', 'text', 'user', 0, 1, -1, 2.5, 1e9, true, [], {}, ['a'], [1], [[1]]),
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ unit: 'grapheme', maxLength: 600 }),
  )
  const fields = Object.keys(chatRequest.properties)
  return fc
    .array(fc.tuple(fc.constantFrom(...fields, 'prompt', 'suffix', 'foo'), odd), { maxLength: 3 })
    .map((changes) => ({ ...good, ...Object.fromEntries(changes) }))
}

describe('the check of a body', () => {
  it.each([
    ['chat', chatRequest, { model: 'm', messages: [{ role: 'user', content: 'a' }] }],
    ['completion', completionRequest, { model: 'm', prompt: 'a' }],
  ])('finds words for exactly what the compiled %s schema refuses', (_name, schema, good) => {
    const compiled = Compile(schema)
    fc.assert(
      fc.property(fc.oneof(nearly(good), fc.jsonValue()), (value) => {
        const error = explain(schema, value)
        expect(error === undefined).toBe(compiled.Check(value))
        expect(error?.message.length ?? 0).toBeLessThan(500)
      }),
    )
  })

  it('hands a good body on as it is', () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'a' }] }
    expect(checkBody({ schema: chatRequest })(body)).toEqual({ value: body })
  })

  it('does not repeat what it was sent at length', () => {
    const body = { model: 'm', messages: [{ role: 'x'.repeat(100_000), content: 'a' }] }
    const { error } = checkBody({ schema: chatRequest })(body) as { error: Error }
    expect(error.message.length).toBeLessThan(300)
    expect(error.message).toContain(`'${'x'.repeat(64)}…'`)
  })
})
