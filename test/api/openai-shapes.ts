import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'vitest'

const file = new URL('../openai/schemas.json', import.meta.url)

/** OpenAI's own schemas; see test/openai/README.md. */
export const openAiSchemas = JSON.parse(readFileSync(file, 'utf8')) as {
  $defs: Record<string, { properties?: object; allOf?: { properties?: object }[] }>
}

const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addSchema(openAiSchemas, 'openai')

export function expectShape(name: string, value: unknown): void {
  const validate = ajv.getSchema(`openai#/$defs/${name}`)
  if (validate === undefined) throw new Error(`OpenAI has no schema ${name}`)
  validate(value)
  expect(validate.errors ?? [], JSON.stringify(value)).toEqual([])
}
