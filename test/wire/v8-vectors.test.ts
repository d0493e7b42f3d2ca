import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { refusalOf } from './hostile.ts'
import { type Data, flat, readV8Case, shownOf, type V8Case } from './vectors/v8-stream.ts'

const read = (name: string): V8Case[] =>
  JSON.parse(readFileSync(`protocols/v8-stream/vectors/${name}.json`, 'utf8')).cases

const schema = JSON.parse(readFileSync('protocols/v8-stream/event.schema.json', 'utf8'))
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
ajv.addSchema(schema, 'events')

/** Whether the schema allows it; undefined where it has none for it. */
function isBySchema(data: string): boolean | undefined {
  let event: { event?: string } | null
  try {
    event = JSON.parse(data)
  } catch {
    return undefined
  }
  const name = event?.event ?? 'error'
  if (name === 'toString' || !Object.hasOwn(schema.$defs, name)) return undefined
  return ajv.validate({ $ref: `events#/$defs/${name}` }, event)
}

describe('the vectors of v8-stream', () => {
  const good = read('good')
  const bad = read('bad')

  it.each(good.map((each) => [each.message, each.name, each] as const))(
    '%s: %s',
    (message, _, vector) => {
      const { data, value, end, shown } = vector
      expect(readV8Case(vector)).toEqual(message === 'Event' ? { value } : { end })
      if (shown !== undefined) expect(shownOf(flat(data as readonly Data[]))).toEqual(shown)
      if (message === 'Event') expect(isBySchema(data as string) ?? value === null).toBe(true)
    },
  )

  it.each(bad.map((each) => [each.message, each.name, each] as const))(
    '%s: %s is refused',
    (_, __, vector) => expect(refusalOf(() => readV8Case(vector))?.code).toBe(vector.error),
  )

  it('that are bad events are so by the schema as well, but for what no schema can say', () => {
    const allowed = bad
      .filter(({ message, data }) => message === 'Event' && isBySchema(data as string) === true)
      .map(({ name }) => name)
    expect(allowed.sort()).toEqual([
      'a final cid that is not that of the receipt',
      'a final cid without a receipt',
      'a gpu of 129 bytes',
      'a model of 257 bytes',
      'a receipt without a final cid',
    ])
  })

  it('have names of their own', () => {
    const names = [...good, ...bad].map(({ message, name }) => `${message}: ${name}`)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })
})
