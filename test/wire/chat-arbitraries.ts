import * as fc from 'fast-check'
import type { AnswerFormat, OfferedFunction } from '../../src/wire/functions.ts'
import { type ContentPart, type Image, type ImageType, imageTypes } from '../../src/wire/images.ts'
import type { ChatWork, Message } from '../../src/wire/job.ts'
import { sampling } from './arbitraries.ts'

/** As what is read lacks it. */
const withoutUndefined = <T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T

const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const anyString = fc.string({ unit: 'binary' })
const schemaText = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }))
  .map((value) => JSON.stringify(value))
const callId = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

const offeredFunction = fc
  .record({
    name,
    description: maybe(anyString),
    parameters: maybe(schemaText),
    strict: maybe(fc.boolean()),
  })
  .map(withoutUndefined<OfferedFunction>)

const call = fc.record({ id: callId, name, arguments: anyString })

const heads: Readonly<Record<ImageType, string>> = {
  'image/png': '89504e470d0a1a0a',
  'image/jpeg': 'ffd8ff',
  'image/webp': '524946460000000057454250',
  'image/gif': '474946383961',
}

const image = fc
  .record({
    type: fc.constantFrom(...imageTypes),
    rest: fc.uint8Array({ maxLength: 20 }),
    detail: maybe(fc.constantFrom('low', 'high')),
  })
  .map(({ type, rest, detail }): Image => {
    const data = Buffer.concat([Buffer.from(heads[type], 'hex'), rest]).toString('base64')
    return { type, data, ...(detail && { detail }) }
  })

const part: fc.Arbitrary<ContentPart> = fc.oneof(
  fc.record({ text: anyString }),
  fc.record({ image }),
)

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    role: fc.constant('user'),
    content: fc.constant(''),
    parts: fc.array(part, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content: anyString }),
  fc.record({
    role: fc.constant('assistant'),
    content: anyString,
    calls: fc.array(call, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ role: fc.constant('result'), content: anyString, callId }),
)

const format: fc.Arbitrary<AnswerFormat> = fc.oneof(
  fc.constant({ type: 'json' as const }),
  fc
    .record({
      type: fc.constant('schema'),
      name,
      schema: schemaText,
      description: maybe(anyString),
      strict: maybe(fc.boolean()),
    })
    .map(withoutUndefined<AnswerFormat>),
)

const functions = fc
  .uniqueArray(offeredFunction, { minLength: 1, maxLength: 4, selector: ({ name }) => name })
  .chain((offered) =>
    fc.record({
      functions: fc.constant(offered),
      oneCall: maybe(fc.constant(true as const)),
      calling: maybe(
        fc.oneof(
          fc.constant({ mode: 'none' as const }),
          fc.constant({ mode: 'required' as const }),
          fc.constantFrom(...offered).map(({ name }) => ({ mode: 'required' as const, name })),
        ),
      ),
    }),
  )

export const chatWork: fc.Arbitrary<ChatWork> = fc
  .record({
    kind: fc.constant('chat'),
    messages: fc.array(message, { minLength: 1, maxLength: 5 }),
    asked: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, functions),
    format: maybe(format),
    sampling,
  })
  .map(({ asked, ...rest }) => withoutUndefined<ChatWork>({ ...rest, ...asked }))
