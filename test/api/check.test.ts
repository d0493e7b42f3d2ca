import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check } from '../../src/api/check.ts'
import { chatRequest } from '../../src/api/openai/chat-schema.ts'
import { completionRequest } from '../../src/api/openai/completion-schema.ts'
import { array, closed, integer, record, type Schema, string } from '../../src/api/schema.ts'

const ajv = new Ajv2020({ strict: false })
// The package is a function; its types say it is a module.
const addFormats = formats as unknown as (ajv: Ajv2020) => void
addFormats(ajv)

/** Values that come close: a good request in which a few places hold something else. */
function nearly(good: object): fc.Arbitrary<unknown> {
  const odd = fc.oneof(
    fc.constantFrom(null, '', 'text', 'user', 0, 1, -1, 2.5, 1e9, true, [], {}, ['a'], [1], [[1]]),
    fc.constantFrom({ 7: 1 }, { 7: 101 }, { x: 1 }, { '': 'a' }, [{ role: 'user', content: 'a' }]),
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ unit: 'grapheme', maxLength: 600 }),
  )
  const fields = [...Object.keys(chatRequest.properties), 'prompt', 'suffix', 'foo']
  return fc
    .array(fc.tuple(fc.constantFrom(...fields), odd), { maxLength: 3 })
    .map((changes) => ({ ...good, ...Object.fromEntries(changes) }))
}

describe('the check of a value', () => {
  const chat = { model: 'm', messages: [{ role: 'user', content: 'a' }] }

  it.each([
    ['chat', chatRequest, chat],
    ['completion', completionRequest, { model: 'm', prompt: 'a' }],
  ] as const)('agrees with JSON Schema on a %s', (_name, schema, good) => {
    const fits = ajv.compile(schema)
    fc.assert(
      fc.property(fc.oneof(nearly(good), fc.jsonValue()), (value) => {
        const error = check(schema, value)
        expect(error === undefined).toBe(fits(value))
        expect(error?.message.length ?? 0).toBeLessThan(500)
      }),
    )
  })

  const small: [string, Schema, fc.Arbitrary<unknown>][] = [
    ['lengths of text', string({ minLength: 2, maxLength: 4 }), fc.string({ unit: 'grapheme' })],
    ['numbers', integer({ minimum: -2, maximum: 5 }), fc.oneof(fc.integer(), fc.double())],
    ['lists', array(integer(), { minItems: 1, maxItems: 3 }), fc.array(fc.nat(), { maxLength: 5 })],
    [
      'names',
      record(integer(), { maxProperties: 2, propertyNames: { pattern: '^[a-c]+$' } }),
      fc.dictionary(fc.string({ unit: fc.constantFrom('a', 'c', 'd'), maxLength: 3 }), fc.nat()),
    ],
    [
      'times',
      string({ format: 'date-time' }),
      fc.oneof(
        fc.date({ noInvalidDate: true, min: new Date(0) }).map((date) => date.toISOString()),
        fc.constantFrom(
          'tomorrow',
          '2030-01-31',
          '2030-13-01T00:00:00Z',
          '2030-02-29T00:00:00Z',
          '2028-02-29T00:00:00Z',
          '2030-04-31T23:59:59-11:00',
          '2030-01-31T12:00:00+02:00',
        ),
      ),
    ],
  ]
  it.each(small)('agrees with JSON Schema on %s', (_name, schema, values) => {
    const fits = ajv.compile(schema)
    fc.assert(
      fc.property(values, (value) => {
        expect(check(schema, value) === undefined).toBe(fits(value))
      }),
    )
  })

  it('names the place as a caller would write it', () => {
    const schema = closed({ a: array(record(array(integer()))) })
    expect(check(schema, { a: [{}, { 'b/c': [1, 'x'] }] })).toMatchObject({
      param: 'a[1].b/c[1]',
      code: 'invalid_type',
      message: "Invalid type for 'a[1].b/c[1]': expected an integer, got a string.",
    })
    expect(check(schema, [])).toMatchObject({
      param: undefined,
      message: 'Invalid type for the request body: expected an object, got an array.',
    })
  })

  it('prefers the branch of a union that fits best, and names all types when none does', () => {
    const content = {
      model: 'm',
      messages: [{ role: 'user', content: [{ type: 'text', text: 5 }] }],
    }
    expect(check(chatRequest, content)?.param).toBe('messages[0].content[0].text')
    expect(check(chatRequest, { ...chat, stop: 5 })?.message).toBe(
      "Invalid type for 'stop': expected a string or an array of strings, got a number.",
    )
  })

  it('does not repeat what it was sent at length', () => {
    const long = 'x'.repeat(100_000)
    const error = check(chatRequest, { model: 'm', messages: [{ role: long, content: 'a' }] })
    expect(error?.message.length).toBeLessThan(300)
    expect(error?.message).toContain(`'${'x'.repeat(64)}…'`)
    const surplus = check(chatRequest, { ...chat, [long]: 1 })
    expect(surplus?.message.length).toBeLessThan(300)
  })
})
