import { describe, expect, it } from 'vitest'
import { advertRequestShape, advertShape, departureShape } from '../../src/wire/advert-shape.ts'
import type { Field } from '../../src/wire/fields.ts'
import {
  fromProviderShape,
  jobShape,
  resumesShape,
  toProviderShape,
} from '../../src/wire/generate-shape.ts'
import { statusShape } from '../../src/wire/status-shape.ts'
import { logMessageShape, syncAnswerShape, syncRequestShape } from '../../src/wire/sync-shape.ts'
import { type ProtoField, readProto } from './proto-file.ts'

interface Described {
  name: string
  fields: Readonly<Record<string, Field>>
}

const files: [name: string, roots: Described[]][] = [
  ['advert', [advertRequestShape, advertShape, departureShape]],
  ['status', [statusShape]],
  ['sync', [syncRequestShape, syncAnswerShape, logMessageShape]],
  ['generate', [toProviderShape, fromProviderShape, jobShape, resumesShape]],
]

const snakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Every message that the roots hold, by name. */
function reached(roots: Described[]): Map<string, Described> {
  const found = new Map<string, Described>()
  const visit = (shape: Described): void => {
    if (found.has(shape.name)) return
    found.set(shape.name, shape)
    for (const field of Object.values(shape.fields)) if (field.shape) visit(field.shape)
  }
  roots.forEach(visit)
  return found
}

const wireTypes: Record<string, number> = { uint32: 0, uint64: 0, bool: 0, float: 5 }

function describedField(field: Field, enums: Record<string, string[]>): ProtoField {
  const { type, repeated, tag } = field
  const packed = repeated && (type in wireTypes || type in enums)
  const wireType = packed ? 2 : (wireTypes[type] ?? (type in enums ? 0 : 2))
  expect(tag % 8).toBe(wireType)
  return { number: Math.floor(tag / 8), type, repeated }
}

describe.each(files)('protocols/%s', (name, roots) => {
  const proto = readProto(`protocols/${name}/${name}.proto`)
  const shapes = reached(roots)

  it('has the messages that the code has', () => {
    expect([...shapes.keys()].sort()).toEqual(Object.keys(proto.messages).sort())
  })

  it('has their fields by the same names, numbers and types', () => {
    const described = Object.fromEntries(
      [...shapes.values()].map(({ name, fields }) => [
        name,
        Object.fromEntries(
          Object.entries(fields).map(([key, field]) => [
            snakeCase(key),
            describedField(field, proto.enums),
          ]),
        ),
      ]),
    )
    expect(described).toEqual(proto.messages)
  })

  it('has the values of enums in the same order', () => {
    const described: Record<string, string[]> = {}
    for (const { fields } of shapes.values()) {
      for (const { type, values } of Object.values(fields)) {
        if (values === undefined) continue
        const prefix = snakeCase(type).slice(1)
        described[type] = values.map((value) =>
          `${prefix}_${value.replaceAll('-', '_')}`.toUpperCase(),
        )
      }
    }
    expect(described).toEqual(proto.enums)
  })
})
