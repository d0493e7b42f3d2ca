import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { type CborField, snakeCase } from '../../src/wire/cbor-shape.ts'
import { entryShape } from '../../src/wire/entry.ts'
import { executionShape, revocationShape } from '../../src/wire/execution.ts'
import { headShape } from '../../src/wire/head.ts'
import { routingShape } from '../../src/wire/routing.ts'

type Described = Record<string, Record<string, string>>

interface Shape {
  name: string
  fields: Readonly<Record<string, CborField>>
}

/** The records of the file: each field's type, `?` before it where it may be missing. */
function readCddl(path: string): Described {
  const text = readFileSync(path, 'utf8').replaceAll(/^;.*$/gm, '')
  const records = text.matchAll(/^([A-Z]\w*) = \{\n([^}]*)\}/gm)
  return Object.fromEntries(
    [...records].map(([, name = '', body = '']) => {
      const lines = body.split(',\n').filter((line) => line.trim() !== '')
      return [name, Object.fromEntries(lines.map(readField))]
    }),
  )
}

function readField(line: string): [string, string] {
  const [, optional = '', name = '', type = ''] = /^ {2}(\? )?(\w+): (.+)$/.exec(line) ?? []
  if (type === '') throw new Error(`odd field: ${line}`)
  return [name, optional + type]
}

function describeShapes(roots: Shape[]): Described {
  const found: Described = {}
  const visit = ({ name, fields }: Shape): void => {
    if (name in found) return
    found[name] = Object.fromEntries(
      Object.entries(fields).map(([key, { type, optional }]) => [
        snakeCase(key),
        optional ? `? ${type}` : type,
      ]),
    )
    for (const { shape } of Object.values(fields)) if (shape !== undefined) visit(shape)
  }
  roots.forEach(visit)
  return found
}

it('protocols/log/log.cddl has the records that the code has, field by field', () => {
  const roots = [entryShape, executionShape, routingShape, revocationShape, headShape]
  expect(describeShapes(roots)).toEqual(readCddl('protocols/log/log.cddl'))
})

it('every type that it names is in it', () => {
  const text = readFileSync('protocols/log/log.cddl', 'utf8')
  const named = Object.values(readCddl('protocols/log/log.cddl')).flatMap((fields) =>
    Object.values(fields).flatMap((type) => type.match(/(?<!")\b[A-Za-z][\w-]*\b(?!")/g) ?? []),
  )
  const missing = named.filter((name) => !new RegExp(`^${name} = `, 'm').test(text))
  expect(missing).toEqual([])
})
