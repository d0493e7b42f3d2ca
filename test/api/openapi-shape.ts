// OpenAPI 3.1 as far as we use it. Whatever it does not name is refused, so a misspelt word is found.

const text = { type: 'string', minLength: 1 }
const ref = (name: string) => ({ $ref: `#/$defs/${name}` })
const mapOf = (values: object) => ({ type: 'object', additionalProperties: values })

/** An object with these members and no others; those that end in `?` may be missing. */
function shape(members: Record<string, object>, more: object = {}) {
  const names = Object.keys(members)
  return {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name.replace('?', ''), members[name]])),
    required: names.filter((name) => !name.endsWith('?')),
    additionalProperties: false,
    ...more,
  }
}

const reference = (kind: string) =>
  shape({ $ref: { type: 'string', pattern: `^#/components/${kind}/` }, 'description?': text })

const media = mapOf(shape({ schema: { anyOf: [reference('schemas'), ref('schema')] } }))

const operation = shape({
  operationId: { type: 'string', pattern: '^(get|post|patch|delete)(_[a-zA-Z0-9]+)+$' },
  summary: { type: 'string', pattern: '^[A-Z].*[^.]$' },
  'description?': text,
  tags: { type: 'array', items: text, minItems: 1, maxItems: 1 },
  security: { type: 'array', items: mapOf({ type: 'array', items: text }) },
  'x-scope?': text,
  'parameters?': { type: 'array', minItems: 1, items: ref('parameter') },
  'requestBody?': shape({ required: { type: 'boolean' }, content: media }),
  responses: {
    type: 'object',
    propertyNames: { pattern: '^([1-5][0-9][0-9]|default)$' },
    required: ['default'],
    additionalProperties: { anyOf: [ref('response'), reference('responses')] },
  },
  'x-codeSamples?': {
    type: 'array',
    items: shape({ lang: text, label: text, source: text }),
  },
})

const response = shape({
  description: text,
  'headers?': mapOf(reference('headers')),
  content: media,
})

const parameter = shape({
  name: text,
  in: { enum: ['path', 'query', 'header'] },
  required: { type: 'boolean' },
  'description?': text,
  schema: ref('schema'),
})

const words = {
  ...{ type: text, description: text, default: {}, examples: { type: 'array' }, const: {} },
  ...{ enum: { type: 'array', minItems: 1 }, format: { const: 'date-time' } },
  contentMediaType: text,
  ...Object.fromEntries(
    ['minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties'].map((name) => [
      name,
      { type: 'integer', minimum: 0 },
    ]),
  ),
  ...{ minimum: { type: 'number' }, maximum: { type: 'number' } },
  ...{ required: { type: 'array', items: text }, propertyNames: { type: 'object' } },
  'x-unavailable': { anyOf: [{ const: true }, { type: 'array', items: text }] },
}

const schema = {
  type: 'object',
  properties: {
    ...words,
    items: ref('schema'),
    anyOf: { type: 'array', items: ref('schema'), minItems: 1 },
    properties: mapOf(ref('schema')),
    additionalProperties: { anyOf: [{ type: 'boolean' }, ref('schema')] },
  },
  additionalProperties: false,
}

export const openApiShape = {
  ...shape({
    openapi: { const: '3.1.0' },
    info: shape({
      ...{ title: text, version: text, description: text },
      license: shape({ name: text, identifier: text }),
    }),
    servers: { type: 'array', items: shape({ url: text, description: text }) },
    security: { type: 'array', items: mapOf({ type: 'array' }) },
    tags: { type: 'array', items: shape({ name: text, description: text }) },
    paths: {
      type: 'object',
      propertyNames: { pattern: '^/' },
      additionalProperties: {
        type: 'object',
        propertyNames: { enum: ['get', 'post', 'patch', 'delete'] },
        additionalProperties: ref('operation'),
      },
    },
    components: shape({
      schemas: mapOf(ref('schema')),
      responses: mapOf(ref('response')),
      headers: mapOf(shape({ description: text, schema: ref('schema') })),
      securitySchemes: mapOf(
        shape({ type: text, description: text }, { additionalProperties: true }),
      ),
    }),
  }),
  $defs: { operation, response, parameter, schema },
}
